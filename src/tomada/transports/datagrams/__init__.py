"""What carries datagrams: in batches where the system can, through the loop's endpoints elsewhere.

May import: what `tomada.transports` may. Read `transport.py` first: what every way has. `opening.py` chooses one.
"""
