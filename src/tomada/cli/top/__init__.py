"""``tomada top``: a server live in the terminal, from its feed.

May import: what the command line may; Textual only in the modules that draw, which ``command.py`` imports where there
is a terminal. Read ``command.py`` first, the options; ``watching.py`` keeps the pictures coming, ``application.py``
shows them, ``writing.py`` prints them where there is no terminal.
"""
