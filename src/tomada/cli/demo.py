"""The bank at work: a server, client processes that move money, and an audit of the books."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import tomada
from tomada.cli.demo_children import Child, ChildDied, Children
from tomada.cli.demo_screen import Board, Row, Screen, screen_for

if TYPE_CHECKING:
    from collections.abc import Coroutine

ACCOUNTS: Final = 100
PATIENCE: Final = 60.0
"""Seconds beyond the planned ones after which something is stuck."""
LONGEST_PLACE: Final = 60
"""A Unix socket's path has room for about 100 bytes; longer places for temporary files than this are not used."""
BIND: Final = "tcp://127.0.0.1:4477"


def run_demo(seconds: float = 10, tellers: int = 4, *, as_json: bool = False) -> int:
    """Run the bank for a while and audit it.

    Args:
        seconds: How long the clients work.
        tellers: How many client processes there are.
        as_json: Print one JSON object per line.

    Returns:
        The exit status: 0 where the audit found nothing, 1 where it found something or a process died, 128 and its
        number after a signal.
    """
    screen = screen_for(as_json=as_json)
    try:
        with asyncio.Runner() as runner:
            return runner.run(_until_terminated(_demo(screen, seconds, tellers)))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    except (ChildDied, FileNotFoundError) as error:
        screen.failed(str(error))
    except TimeoutError:
        screen.failed(f"it has not ended within {seconds + PATIENCE:.0f} s")
    return 1


async def _until_terminated(work: Coroutine[Any, Any, int]) -> int:
    task = cast("asyncio.Task[int]", asyncio.current_task())
    with suppress(NotImplementedError):  # on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


async def _demo(screen: Screen, seconds: float, tellers: int) -> int:
    bank = _bank()
    place = tempfile.gettempdir() if len(tempfile.gettempdir()) <= LONGEST_PLACE else "/tmp"  # noqa: S108 - short
    with tempfile.TemporaryDirectory(prefix="tomada-", dir=place, ignore_cleanup_errors=True) as name:
        directory = Path(name)
        async with asyncio.timeout(seconds + PATIENCE), Children(directory) as children:
            findings = await children.work(_run(children, screen, bank, directory, Board(seconds), tellers))
    verdict = "demo ok" if not findings["differences"] else "demo failed"
    balance = "books balance" if findings["balanced"] else "books do not balance"
    counts = f"{findings['transfers']} transfers, {findings['lost']} lost, {findings['duplicated']} duplicated"
    screen.finished(findings, f"{verdict}: {counts}, {balance}", _commands(bank))
    return 1 if findings["differences"] else 0


async def _run(
    children: Children, screen: Screen, bank: Path, directory: Path, board: Board, tellers: int
) -> dict[str, Any]:
    """Start everything, show it, and return what the audit found."""
    database = directory / "bank.db"
    server, addresses = await _start_server(children, bank, directory, database)
    promises = [directory / f"promises-{number}.txt" for number in range(tellers)]
    working = []
    for number, file in enumerate(promises):
        address = addresses[number % len(addresses)]
        row = Row(f"teller {number + 1}", address.partition(":")[0])
        board.rows.append(row)
        options = (f"--seconds={board.seconds}", f"--accounts={ACCOUNTS}", f"--seed={number}", f"--promises={file}")
        command = (str(bank / "teller.py"), address, *options, "--json")
        working.append((await children.start(row.name, *command, fine=frozenset({0})), row))
    screen.started(addresses, str(directory), children.pids)
    await asyncio.gather(*[_wait_until_open(*pair) for pair in working])
    with screen:
        showing = asyncio.create_task(_show(screen, board))
        try:
            await asyncio.gather(*[_follow(*pair) for pair in working])
        finally:
            showing.cancel()
        board.elapsed = board.seconds
        screen.show(board)
    findings = await _audit(children, bank, database, promises)
    await server.stop()
    return findings


async def _start_server(children: Children, bank: Path, directory: Path, database: Path) -> tuple[Child, list[str]]:
    binds = ["--bind", "tcp://127.0.0.1:0"]
    if os.name == "posix":
        binds += ["--bind", f"unix://{directory}/bank.sock"]
    command = ("-m", "tomada", "serve", str(bank / "bank.py"), *binds, "--json")
    environ = {"BANK_DATABASE": str(database)}
    server = await children.start("server", *command, fine=frozenset(), environ=environ)
    listening = await server.event()
    return server, listening["addresses"]


async def _wait_until_open(teller: Child, row: Row) -> None:
    row.update(await teller.event())


async def _follow(teller: Child, row: Row) -> None:
    async for event in teller.events():
        row.update(event)
    await teller.end()


async def _show(screen: Screen, board: Board) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        await asyncio.sleep(screen.interval)
        board.elapsed = loop.time() - begun
        screen.show(board)


async def _audit(children: Children, bank: Path, database: Path, promises: list[Path]) -> dict[str, Any]:
    command = (str(bank / "audit.py"), str(database), *map(str, promises), "--json")
    audit = await children.start("audit", *command, fine=frozenset({0, 1}))
    return await audit.event()


def _bank() -> Path:
    """The bank's folder: inside an installed package, or beside ``src`` in a checkout."""
    package = Path(tomada.__file__).parent
    places = (package / "examples" / "bank", package.parents[1] / "examples" / "bank")
    for place in places:
        if (place / "bank.py").is_file():
            return place
    raise FileNotFoundError(f"the example bank is neither at {places[0]} nor at {places[1]}: install tomada anew")


def _commands(bank: Path) -> list[str]:
    """What to try next, as it works in the user's shell."""
    return [
        f"{_tomada()} serve {shlex.quote(str(bank / 'bank.py'))} --bind {BIND}",
        f"{_tomada()} types {BIND}",
        f"{_tomada()} ask {BIND} OpenAccount name=ana cents=10000",
    ]


def _tomada() -> str:
    """How the shell finds this tomada."""
    script = Path(sys.executable).with_name("tomada")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m tomada"
    return "tomada" if shutil.which("tomada") == str(script) else shlex.quote(str(script))
