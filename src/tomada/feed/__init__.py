"""What a server says of itself while it runs: a tomada app of its own, that dashboards and `tomada top` watch.

May import the server's own rooms and the public names; is imported by the command line and the dashboard. Read
``messages.py`` first, the questions and answers.
"""
