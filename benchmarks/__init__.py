"""Request/reply rates of tomada and its peers, side by side in one run.

Run ``python -m benchmarks`` from the checkout root. Every measurement is one server process and one client process
with one connection over 127.0.0.1; nothing else is measured at that moment. Contenders take turns round by round, so
that a machine that slows down slows them all. May import everything; nothing imports it.

Read ``contenders/__init__.py`` first (who competes), then ``load.py`` (what is counted) and ``rounds.py`` (in which
order).
"""
