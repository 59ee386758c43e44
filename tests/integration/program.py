"""Programs that the tests run in processes of their own."""

# ruff: noqa: T201 - they tell their test on standard output what happens

from __future__ import annotations

import asyncio
import sys
import time

import tomada
import tomada.sync
from tests.integration.house import Echo, Hold, Note, Sit


def server_app() -> tomada.App:
    app = tomada.App("program")

    @app.on
    async def echo(request: Echo) -> bytes:
        return request.data

    @app.on
    async def hold(request: Hold) -> str:
        """Told by its name how long."""
        print("began", request.name, flush=True)
        try:
            await asyncio.sleep(float(request.name))
        except asyncio.CancelledError:
            print("cancelled", request.name, flush=True)
            raise
        return request.name

    @app.on
    def sit(request: Sit) -> str:
        print("began", request.name, flush=True)
        time.sleep(float(request.name))
        return request.name

    @app.on
    async def note(message: Note) -> None:
        print("note", message.text, flush=True)

    @app.on_stop
    def stopped() -> None:
        print("stopped", flush=True)

    @app.on_disconnect
    async def gone() -> None:
        print("gone", flush=True)

    return app


def serve(address: str, drain: str = "10") -> None:
    serving = tomada.serve(server_app(), address, deadlines=tomada.Deadlines(drain=float(drain)))
    serving.run(ready=lambda server: print(*server.addresses, flush=True))
    print("left", flush=True)


def ask_sync(address: str) -> None:
    """Wait for an answer that does not come, until Ctrl-C."""
    try:
        with tomada.sync.connect(address) as connection:
            print("connected", flush=True)
            connection.ask(Hold("60"))
    except KeyboardInterrupt:
        print("interrupted", flush=True)


def stubborn(address: str) -> None:
    """Does not want to stop."""
    app = tomada.App("stubborn")

    @app.on_stop
    async def stop() -> None:
        print("stopping", flush=True)
        await asyncio.Event().wait()

    tomada.serve(app, address).run(ready=lambda server: print(*server.addresses, flush=True))


if __name__ == "__main__":
    {"serve": serve, "ask_sync": ask_sync, "stubborn": stubborn}[sys.argv[1]](*sys.argv[2:])
