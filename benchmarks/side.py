"""One end of one measurement, as a process: ``python -m benchmarks.side serve NAME`` or ``… measure NAME PORT``.

The server prints its port, the client its rate, one line each. Either ends by itself when its standard input is
closed, so that no process is left behind by a run that was killed.
"""

import argparse
import os
import sys
import threading
import traceback
from importlib import import_module

from benchmarks.load import Plan
from benchmarks.suites import CONTENDERS


def _end_with_standard_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side", description=__doc__)
    parser.add_argument("--core", type=int, help="run on this core only")
    roles = parser.add_subparsers(dest="role", required=True)
    names = sorted(CONTENDERS)
    roles.add_parser("serve").add_argument("name", choices=names)
    measure = roles.add_parser("measure")
    measure.add_argument("name", choices=names)
    measure.add_argument("port", type=int)
    measure.add_argument("--load", type=int, default=1)
    measure.add_argument("--warm-up", type=float, default=0.3)
    measure.add_argument("--seconds", type=float, default=1.5)
    return parser.parse_args()


def _reason(error: BaseException) -> str:
    """The first cause of ``error`` in one line, which is what the report shows."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())


def _play(arguments: argparse.Namespace) -> None:
    contender = import_module(f"benchmarks.contenders.{CONTENDERS[arguments.name].module}")
    if arguments.role == "serve":
        contender.serve(lambda port: print(port, flush=True))
    else:
        plan = Plan(arguments.load, arguments.warm_up, arguments.seconds)
        print(contender.measure(arguments.port, plan), flush=True)


def main() -> None:
    """Pin this process before anything starts a thread, then be the server or the client."""
    arguments = _arguments()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    try:
        _play(arguments)
    except Exception as error:  # noqa: BLE001  # whatever it is, it ends this process and is the report's to tell
        traceback.print_exception(error)
        sys.exit(_reason(error))


if __name__ == "__main__":
    main()
