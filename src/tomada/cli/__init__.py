"""The ``tomada`` command: one file per subcommand.

May import everything; nothing imports it. Read `main.py` first; `output.py` says how results, errors and exit codes
look.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from tomada.cli.main import app

    app(prog_name="tomada")
