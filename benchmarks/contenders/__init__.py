"""Who competes: one file each, with both halves in it.

Every module here has two functions, and they run in separate processes:

- ``serve(announce)`` listens on a free port of 127.0.0.1 (or a socket file), calls ``announce(port)`` and serves until
  it is killed;
- ``measure(port, plan)`` carries out the plan and returns a rate, in its suite's unit.

In the suite of messages both ends decode into a typed struct and encode from one, and every client checks every reply.
"""
