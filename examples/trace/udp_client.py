"""Sends a datagram, shows the answer, ends."""

import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 50008

client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(30)
client.sendto(b"hello, server", ("127.0.0.1", PORT))
answer, server = client.recvfrom(2048)
print(answer.decode())
client.close()
