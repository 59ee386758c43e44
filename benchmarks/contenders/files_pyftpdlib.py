"""pyftpdlib, whose loop is select's and whose files go by sendfile."""

import ftplib
import logging
import socket
from collections.abc import Callable

from benchmarks.files_load import folder_with_file, rate_of_files
from benchmarks.load import Plan


def serve(announce: Callable[[int], None]) -> None:
    """Serve the folder to anonymous users."""
    from pyftpdlib.authorizers import DummyAuthorizer  # noqa: PLC0415 - it warns, and the client has no need of it
    from pyftpdlib.handlers import FTPHandler  # noqa: PLC0415 - as above
    from pyftpdlib.servers import FTPServer  # noqa: PLC0415 - as above

    logging.disable()
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(str(folder_with_file()))
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "use_sendfile": True})
    with FTPServer(("127.0.0.1", 0), handler) as server:
        announce(server.socket.getsockname()[1])
        server.serve_forever()


def measure(port: int, plan: Plan) -> float:
    """Ask by FTP, passive; one control connection for all."""
    with ftplib.FTP() as control:  # noqa: S321 - it is what is measured
        control.connect("127.0.0.1", port)
        control.login()
        control.voidcmd("TYPE I")
        asked = 0

        def ask() -> tuple[socket.socket, int]:
            nonlocal asked
            if asked:
                control.voidresp()  # of the file before
            asked += 1
            return control.transfercmd("RETR file"), 0

        return rate_of_files(ask, plan)
