"""The dashboard: a server's feed with a web face, in a process of its own.

Needs the extra ``dashboard``. May import the feed and the public names; nobody imports it but the command line, when
asked. Read ``../feed/messages.py`` first: all that the page knows comes from there.
"""
