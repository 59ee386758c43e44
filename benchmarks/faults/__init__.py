"""Fault runs: what goes wrong on purpose, and who must not notice. ``python -m benchmarks.faults.reload`` is one."""
