"""``python -m tomada`` is the ``tomada`` command."""

from tomada.cli import main

main()
