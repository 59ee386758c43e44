"""tomada over TLS: the same server and client as over TCP, with a certificate made for the run."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import trustme

import tomada
from benchmarks.contenders.tomada_async import Ping, Pong, app
from benchmarks.load import Plan, rate_of_workers, run
from benchmarks.payload import TEXT


def _authority(port: int) -> Path:
    """The file that tells the client whom to trust; the port is all that it is given."""
    return Path(tempfile.gettempdir()) / f"tomada-bench-{port}.pem"


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app over TLS."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")

    async def main(certificate: str) -> None:
        async with tomada.serve(app, "tls://127.0.0.1:0", tls=tomada.TLS(certificate=certificate)) as server:
            port = server.addresses[0].port or 0
            authority.cert_pem.write_to_path(str(_authority(port)))
            announce(port)
            await asyncio.Event().wait()

    with issued.private_key_and_cert_chain_pem.tempfile() as certificate:
        run(main(certificate))


def measure(port: int, plan: Plan) -> float:
    """``plan.in_flight`` workers ask over one connection."""

    async def main() -> float:
        tls = tomada.TLS(authority=str(_authority(port)))
        async with tomada.connect(f"tls://127.0.0.1:{port}", tls=tls) as connection:
            _authority(port).unlink()

            def ask(number: int) -> Awaitable[Pong]:
                return connection.ask(Ping(number, TEXT))

            return await rate_of_workers(ask, plan)

    return run(main())
