"""What goes wrong, done on purpose and counted: ``python -m benchmarks.faults.NAME`` each, ``make faults`` all of them.

``crowd.py`` holds thousands of connections; the others say what is done with them.
"""
