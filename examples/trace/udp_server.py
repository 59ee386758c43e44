"""Waits for one datagram, answers in capitals, ends."""

import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 50008

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", PORT))
data, client = server.recvfrom(2048)
server.sendto(data.upper(), client)
server.close()
