"""What the system tells of hosts, ports, socket files and the processes that hold them. Nothing here carries bytes.

May import: what `tomada.transports` may. Read `socket_table.py` first: the sockets of this machine.
"""
