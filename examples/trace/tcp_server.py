"""Waits for one client, answers in capitals, ends."""

import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 50007

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", PORT))
server.listen(1)
connection, address = server.accept()
data = connection.recv(1024)
connection.sendall(data.upper())
connection.close()
server.close()
