"""Answers each client in a process of its own; ends after as many clients as it is told."""

import os
import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 50007
CLIENTS = int(sys.argv[2]) if len(sys.argv) > 2 else 2

server = socket.create_server(("127.0.0.1", PORT))
children = []
for _ in range(CLIENTS):
    connection, address = server.accept()
    child = os.fork()
    if child == 0:
        server.close()
        connection.sendall(connection.recv(1024).upper())
        connection.close()
        os._exit(0)
    connection.close()
    children.append(child)
server.close()
for child in children:
    os.waitpid(child, 0)
