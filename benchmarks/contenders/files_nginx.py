"""nginx with sendfile, one worker."""

import socket
import subprocess
import time
from collections.abc import Callable

from benchmarks.files_load import folder_with_file, head_of, rate_of_files
from benchmarks.load import Plan

CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr error;
events {{}}
http {{
    access_log off; sendfile on; tcp_nopush on;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


def serve(announce: Callable[[int], None]) -> None:
    """Run it in a folder of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = folder_with_file()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port))
    with subprocess.Popen(["nginx", "-c", str(configuration), "-e", "stderr"]) as server:  # noqa: S607
        try:
            _wait_for(port)
            announce(port)
            server.wait()
        finally:
            server.kill()


def _wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return


def measure(port: int, plan: Plan) -> float:
    """Ask by HTTP/1.0, so that the file ends with the connection."""

    def ask() -> tuple[socket.socket, int]:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET /file HTTP/1.0\r\n\r\n")
        return connection, head_of(connection, b"\r\n\r\n")

    return rate_of_files(ask, plan)
