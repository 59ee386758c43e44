"""``python -m tomada.dashboard``: what `Keeper` starts. It is no command: it needs a channel to who starts it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys

import msgspec

from tomada.dashboard.keeper import CHANNEL
from tomada.dashboard.told import Told
from tomada.event_loop import new_event_loop

_PATIENCE = 30.0
_LONGEST = 65_536
_NICE = 5
"""Where processors are scarce, who is looked at goes first."""


def main() -> int:
    """Serve until whoever started this process is gone; the exit status."""
    numbers = [int(number) for number in os.environ.pop(CHANNEL, "").split(",") if number.isdigit()]
    if not numbers:
        sys.stderr.write("error: this is the dashboard's own program: start `tomada serve FILE --dashboard 4480`\n")
        return 2
    for number in numbers:
        os.set_inheritable(number, False)  # noqa: FBT003 - positional only
    if hasattr(os, "nice"):
        os.nice(_NICE)
    channel, *listening = [socket.socket(fileno=number) for number in numbers]
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s dashboard: %(message)s")
    told = _told(channel)
    if told is None:
        return 0
    from tomada.dashboard.serving import run  # noqa: PLC0415 - what it needs is told before

    for own in (channel, *listening):
        own.settimeout(0)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run(told, channel, listening))
    return 0


def _told(channel: socket.socket) -> Told | None:
    """The first line; None: whoever started this is gone already. Read bytewise, for what follows is not for here."""
    channel.settimeout(_PATIENCE)
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST:
        data = channel.recv(1)
        if not data:
            return None
        line += data
    return msgspec.json.decode(line, type=Told)


if __name__ == "__main__":
    sys.exit(main())
