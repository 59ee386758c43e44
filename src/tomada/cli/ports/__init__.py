"""``tomada ports``: who listens where on this machine.

May import: what the command line may. Read ``survey.py`` first, which gathers it; ``table.py`` shows it to people, and
``command.py`` has the options.
"""
