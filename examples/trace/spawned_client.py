"""A server whose client is a process that multiprocessing spawns."""

import multiprocessing
import socket


def client(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"hello, parent")
        print(connection.recv(1024).decode(), flush=True)


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        child = multiprocessing.get_context("spawn").Process(target=client, args=(server.getsockname()[1],))
        child.start()
        connection, _ = server.accept()
        with connection:
            connection.sendall(connection.recv(1024).upper())
        child.join()


if __name__ == "__main__":
    main()
