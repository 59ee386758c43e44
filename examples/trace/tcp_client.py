"""Says hello, shows the answer, ends."""

import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 50007

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect(("127.0.0.1", PORT))
client.sendall(b"hello, server")
print(client.recv(1024).decode())
client.close()
