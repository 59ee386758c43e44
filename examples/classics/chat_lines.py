"""A chat in lines, for telnet and nc.

::

    tomada serve examples/classics/chat_lines.py
    nc 127.0.0.1 4000                                 # in as many terminals as you like

Every member has a queue of their own, of 100 lines. Whoever reads too slowly loses the oldest of them, and is told how
many; nobody else waits for that, and nothing grows.
"""

import asyncio
import os
from collections import deque

import tomada

ADDRESS = os.environ.get("ADDRESS", "tcp://127.0.0.1:4000")
LINE_BYTES = 1_000
NAME_LENGTH = 20
QUEUED_LINES = 100
PAUSE = 0.1  # seconds between two lines of one member; what comes faster waits in the network
SILENCE = 3_600.0  # seconds
HELP = "/who  /me WHAT YOU DO  /msg NAME TEXT  /quit"

app = tomada.App("chat")


class Leave(Exception):
    """The member goes; the text is their last words."""


class Member:
    """Somebody in the room, and what they have yet to be told."""

    def __init__(self, name: str, stream: tomada.Stream) -> None:
        self.name = name
        self.stream = stream
        self.lines: deque[str] = deque(maxlen=QUEUED_LINES)
        self.missed = 0
        self.something = asyncio.Event()

    def tell(self, line: str) -> None:
        """Put a line into the queue. Nobody waits here."""
        self.missed += len(self.lines) == QUEUED_LINES
        self.lines.append(line)
        self.something.set()

    async def write(self) -> None:
        """Send what is queued, as fast as the member reads."""
        while await self.something.wait():
            self.something.clear()
            while self.lines:
                if self.missed:
                    line, self.missed = f"* you missed {self.missed} lines", 0
                else:
                    line = self.lines.popleft()
                await self.stream.send(f"{line}\r\n".encode())
                await self.stream.flush()  # so that what waits does so in the queue, where it is counted


class Room:
    """Who is here, by name in small letters."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}

    def tell_all(self, line: str) -> None:
        """Everybody hears it, the speaker too."""
        for member in self.members.values():
            member.tell(line)


@app.on_start
def open_room() -> Room:
    """There is one room."""
    return Room()


@app.stream(ADDRESS)
async def chat(stream: tomada.Stream, room: Room) -> None:
    """One member, from the door to the end."""
    member = await enter(stream, room)
    writing = asyncio.create_task(member.write())
    last_words = "was lost"
    try:
        while True:
            await asyncio.sleep(PAUSE)
            obey(room, member, await heard(stream))
    except Leave as leave:
        last_words = str(leave)
    except tomada.StreamEnded:
        last_words = "left"
    finally:
        del room.members[member.name.lower()]
        room.tell_all(f"* {member.name} {last_words}")
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def heard(stream: tomada.Stream) -> str:
    """The next line, without what could move another's cursor about, or ring their bell."""
    try:
        line = await stream.receive_until(b"\n", LINE_BYTES, timeout=SILENCE)
    except tomada.LimitExceeded:
        await stream.send(b"* that line is too long\r\n")
        raise
    return "".join(each for each in line.decode(errors="replace").strip() if each.isprintable())


async def enter(stream: tomada.Stream, room: Room) -> Member:
    """Ask for a name until there is a good one."""
    await stream.send(b"* What is your name?\r\n")
    while True:
        name = await heard(stream)
        if not name.isalnum() or len(name) > NAME_LENGTH:
            await stream.send(f"* up to {NAME_LENGTH} letters and digits, please\r\n".encode())
        elif name.lower() in room.members:
            await stream.send(b"* that is somebody else\r\n")
        else:
            break
        await asyncio.sleep(PAUSE)
    member = room.members[name.lower()] = Member(name, stream)
    room.tell_all(f"* {name} is here")
    member.tell(f"* {HELP}")
    return member


def obey(room: Room, member: Member, line: str) -> None:
    """Do what a line asks for, or say it to all. Raises `Leave`."""
    command, _, rest = line.partition(" ")
    match command:
        case "":
            pass
        case "/who":
            member.tell("* here: " + ", ".join(sorted(each.name for each in room.members.values())))
        case "/me":
            room.tell_all(f"* {member.name} {rest}")
        case "/msg":
            name, _, text = rest.partition(" ")
            other = room.members.get(name.lower())
            member.tell(f"[to {other.name}] {text}" if other is not None else f"* there is no {name} here")
            if other is not None:
                other.tell(f"[{member.name}] {text}")
        case "/quit":
            raise Leave(f"left: {rest}" if rest else "left")
        case _ if command.startswith("/"):
            member.tell(f"* {HELP}")
        case _:
            room.tell_all(f"<{member.name}> {line}")
