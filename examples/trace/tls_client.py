"""Says hello through TLS. Takes a port, and the file of the authority whose certificates it trusts."""

import socket
import ssl
import sys

PORT, AUTHORITY = int(sys.argv[1]), sys.argv[2]

context = ssl.create_default_context(cafile=AUTHORITY)
with socket.create_connection(("127.0.0.1", PORT)) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(b"hello, server")
        print(connection.recv(1024).decode())
