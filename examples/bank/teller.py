"""A client that moves money among the bank's accounts, and keeps the receipts it was promised for the audit.

``python teller.py tcp://127.0.0.1:4477 --seconds 10``. Ctrl-C or SIGTERM ends it early: it begins no transfer more and
waits for what is in flight.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bank_load import Bank, PromiseBroken, Teller

import tomada

Print = Callable[[str, dict[str, float]], None]


def main() -> None:
    """Run the command line."""
    options = _options()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(work(options))
    except KeyboardInterrupt:
        sys.exit(130)
    except (tomada.TomadaError, PromiseBroken) as error:
        sys.exit(f"error: {error}")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The loop that tomada's servers run on, where there is one."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - not on Windows

    return uvloop.new_event_loop()


async def work(options: argparse.Namespace) -> None:
    """Open the accounts and move money until the time is over or a signal comes."""
    say = _say_json if options.json else _say
    names = [f"account-{number}" for number in range(options.accounts)]
    bank = Bank(options.address)
    await bank.open_accounts(names)
    say("opened", {"accounts": len(names)})
    with options.promises.open("w") as promises:
        teller = Teller(bank, names, options.seed, promises)
        asyncio.get_running_loop().call_later(options.seconds, teller.stop)
        _stop_on_signals(teller)
        reporting = asyncio.create_task(_report(teller, say))
        await teller.work(options.in_flight)
        reporting.cancel()
        say("done", teller.total())
    await bank.close()


async def _report(teller: Teller, say: Print) -> None:
    while True:
        await asyncio.sleep(1)
        say("tick", teller.latest())


def _stop_on_signals(teller: Teller) -> None:
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        teller.stop()
        loop.remove_signal_handler(number)  # a second one ends it at once

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # on Windows
            loop.add_signal_handler(number, stop, number)


def _say_json(event: str, values: dict[str, float]) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def _say(event: str, values: dict[str, float]) -> None:
    print(event, *[f"{name}={value:,}" for name, value in values.items()], flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Move money among the bank's accounts.")
    parser.add_argument("address", help="the bank's, such as tcp://127.0.0.1:4477")
    add = parser.add_argument
    add("--accounts", type=int, default=100, help="how many accounts to open and use (default: 100)")
    add("--seconds", type=float, default=10, help="how long to go on (default: 10)")
    add("--in-flight", type=int, default=64, help="how many transfers are under way at once (default: 64)")
    add("--seed", type=int, default=0, help="of the choice of accounts and amounts (default: 0)")
    add("--promises", type=Path, default=Path("promises.txt"), help="the file for the audit (default: promises.txt)")
    add("--json", action="store_true", help="print one JSON object per line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
