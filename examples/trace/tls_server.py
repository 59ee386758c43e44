"""Answers one client through TLS. Takes a port, and the files of a certificate and its key."""

import socket
import ssl
import sys

PORT, CERTIFICATE, KEY = int(sys.argv[1]), sys.argv[2], sys.argv[3]

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
with socket.create_server(("127.0.0.1", PORT)) as server:
    plain, address = server.accept()
    with context.wrap_socket(plain, server_side=True) as connection:
        connection.sendall(connection.recv(1024).upper())
