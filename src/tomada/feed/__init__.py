"""What a server says of itself while it runs: a tomada app of its own, that dashboards and `tomada top` watch.

May import the server's own rooms and the public names; is imported by the command line and the dashboard. Read
``messages.py`` first, the questions and answers.

==================  ============================================================================================
``messages.py``     what viewers ask, and what they are told
``source.py``       what pictures are made of, and how
``app.py``          answers viewers and dashboards, from whatever source there is
``collector.py``    one process as a source: looks at its server, at most twice a second, and never for long
``budget.py``       how long that is
``table.py``        the connections that it knows, counted and sorted; ``seen.py`` is one of them
``closeups.py``     connections that somebody looks at closely, through a lens of ``lenses.py``
``notes.py``        the log, and the limits and deadlines that struck
``machine.py``      what the process takes of its machine
``beside.py``       lets the app listen beside a server, on a Unix socket that only its user may enter
``inner.py``        what a dashboard asks each process that serves
``several.py``      several processes as a source: finds them, and asks each (``member.py``)
``merging.py``      makes one picture of what they say
==================  ============================================================================================

Where the feed is reached, and with what right:

- ``unix://FOLDER/PID.feed``: each serving process has one, where a dashboard was asked for. Only its user may enter the
  folder, so whoever connects may act.
- ``ws://HOST:PORT/feed``: through the dashboard. On the loopback interface everybody may watch; `Close` and `Drain`
  answer `NotAllowed`.
- ``ws://HOST:PORT/feed/TOKEN``: the same, with the right to act. The token is part of the path: browsers cannot set
  headers on a WebSocket, and every address of tomada may have a path. It has 16 to 128 letters, digits, ``-`` and
  ``_``, so nothing is escaped. Programs that can set headers may send ``Authorization: Bearer TOKEN`` in its place.
  Dashboards for other machines let nobody in without it. A wrong token is answered with status 403, and slowly.
- ``ws://HOST:PORT/app`` and ``/app/TOKEN``: the application itself, as one more of its addresses.
- ``GET http://HOST:PORT/access``, with ``Authorization: Bearer TOKEN`` or without: ``{"watch": true, "act": false,
  "try": true}``, what one may; a wrong token is answered with 403 and ``{"error": …}``. A page cannot learn why its
  WebSocket was refused, and asks here.

The page's own URL has the token as its fragment, ``http://HOST:PORT/#token=TOKEN``, which browsers send to nobody.
The page's files are at ``/`` (``/index.html``, …), tomada's client for browsers at ``/tomada/tomada.js``.

The feed keeps no sessions: a connection that is lost has ended, and is made anew. A stream of pictures ends with
`ConnectionLost` when the dashboard is gone; a worker that comes or goes is seen in the pictures and ends nothing.
"""
