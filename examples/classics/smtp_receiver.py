"""A mail receiver: SMTP (RFC 5321) with SIZE, PIPELINING, 8BITMIME and STARTTLS, which fills a Maildir.

::

    MAILDIR=~/mail tomada serve examples/classics/smtp_receiver.py
    swaks --server 127.0.0.1:2525 --to ana@example.org
    cat ~/mail/new/*

With CERTIFICATE=FILE (PEM, its key in the same file) clients may go on encrypted.

Lines end with CRLF and with nothing else. A receiver that also takes a bare LF for the end of a line can be made to see
a second message, from whomever you please, within the text of a first one (CVE-2023-51764 and its kin).
"""

import asyncio
import os
import re
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO

import tomada

ADDRESS = os.environ.get("ADDRESS", "tcp://127.0.0.1:2525")
MAILDIR = Path(os.environ.get("MAILDIR", "maildir")).expanduser()
CERTIFICATE = os.environ.get("CERTIFICATE", "")
NAME = os.environ.get("NAME", "localhost")
LINE_BYTES = 998
MESSAGE_BYTES = 10_485_760
MESSAGE_SECONDS = 600
RECIPIENTS = 100
MISTAKES = 10
DOMAIN = re.compile(r"[!-~]{1,255}")
PATH = re.compile(r"(?:FROM|TO): ?<([!-;=?-~]{0,254})>((?: [!-~]+)*)", re.IGNORECASE)

app = tomada.App("smtp-receiver")


class Refused(Exception):
    """The command is answered with an error."""


class Leave(Exception):
    """The last answer; then the connection is closed."""


@app.on_start
def make_maildir() -> None:
    """A message is written in ``tmp``, and moves to ``new`` when it is whole."""
    for name in ("tmp", "new", "cur"):
        (MAILDIR / name).mkdir(parents=True, exist_ok=True)


@app.stream(ADDRESS)
async def receive_mail(stream: tomada.Stream) -> None:
    """Obey commands until QUIT, silence, or too many mistakes."""
    session, mistakes = Session(stream), 0
    await session.reply(f"220 {NAME} ESMTP tomada")
    try:
        while mistakes < MISTAKES:
            verb, _, argument = (await session.line()).decode("ascii", "replace").partition(" ")
            try:
                answer = await session.obey(verb.upper(), argument.strip())
                if answer:
                    await session.reply(answer)
            except Refused as refused:
                mistakes += 1
                await session.reply(str(refused))
        await session.reply("421 too many mistakes")
    except Leave as last:
        await session.reply(str(last))
    except TimeoutError:
        await session.reply("421 too slow")


class Session:
    """What one client has said so far."""

    def __init__(self, stream: tomada.Stream) -> None:
        self.stream = stream
        self.is_encrypted = False
        self.client = ""
        self.sender: str | None = None
        self.recipients: list[str] = []

    async def line(self) -> bytes:
        """The next line, which has no CR and no LF in it."""
        try:
            line = await self.stream.receive_until(b"\r\n", LINE_BYTES)
        except tomada.LimitExceeded:
            raise Leave("500 the line is too long") from None
        if b"\n" in line or b"\r" in line:
            raise Leave("550 a bare CR or LF: lines end with CRLF")
        return line

    async def reply(self, text: str) -> None:
        """Send an answer of one or several lines, the last of which has a space after its number."""
        *more, last = text.split("\n")
        lines = [f"{line[:3]}-{line[4:]}\r\n" for line in more]
        await self.stream.send("".join([*lines, last, "\r\n"]).encode())

    async def obey(self, verb: str, argument: str) -> str:
        """The answer to a command; none where it has been sent. Raises `Refused`, `Leave`."""
        match verb:
            case "EHLO" | "HELO":
                answer = self.hello(verb, argument)
            case "MAIL":
                answer = self.mail(argument)
            case "RCPT":
                answer = self.rcpt(argument)
            case "DATA":
                answer = await self.data()
            case "RSET":
                answer = self.reset()
            case "NOOP":
                answer = "250 done"
            case "VRFY":
                answer = "252 send it and see"
            case "QUIT":
                raise Leave("221 goodbye")
            case "STARTTLS" if CERTIFICATE and not self.is_encrypted:
                answer = await self.encrypt()
            case _:
                raise Refused("502 there is no such command")
        return answer

    def hello(self, verb: str, argument: str) -> str:
        """Who the client says it is."""
        if not DOMAIN.fullmatch(argument):
            raise Refused(f"501 say {verb} and your name")
        self.client = argument
        self.reset()
        if verb == "HELO":
            return f"250 {NAME}"
        more = "\n250 STARTTLS" if CERTIFICATE and not self.is_encrypted else ""
        return f"250 {NAME}{more}\n250 SIZE {MESSAGE_BYTES}\n250 PIPELINING\n250 8BITMIME"

    async def encrypt(self) -> str:
        """Go on encrypted, as if nothing had been said (RFC 3207). Commands sent ahead end the connection."""
        await self.reply("220 go on")
        await self.stream.start_tls(tomada.TLS(certificate=CERTIFICATE))
        self.is_encrypted, self.client = True, ""
        self.reset()
        return ""

    def mail(self, argument: str) -> str:
        """A message begins; its sender is empty where it reports a failure."""
        if not self.client or self.sender is not None:
            raise Refused("503 say EHLO first" if not self.client else "503 there is a sender already")
        path = PATH.fullmatch(argument)
        if path is None or argument[:4].upper() != "FROM":
            raise Refused("501 say MAIL FROM:<somebody@example.org>")
        for parameter in path[2].upper().split():
            name, _, value = parameter.partition("=")
            if name == "SIZE" and value.isdigit() and len(value) <= 20:  # noqa: PLR2004 - RFC 1870
                if int(value) > MESSAGE_BYTES:
                    raise Refused(f"552 a message may have {MESSAGE_BYTES} bytes")
            elif parameter not in ("BODY=7BIT", "BODY=8BITMIME"):
                raise Refused("555 there is no such parameter")
        self.sender = path[1]
        return "250 go on"

    def rcpt(self, argument: str) -> str:
        """One more whom the message is for."""
        path = PATH.fullmatch(argument)
        if self.sender is None:
            raise Refused("503 say MAIL first")
        if path is None or argument[:2].upper() != "TO" or not path[1] or path[2]:
            raise Refused("501 say RCPT TO:<somebody@example.org>")
        if len(self.recipients) == RECIPIENTS:
            raise Refused(f"452 a message may have {RECIPIENTS} recipients; send it to the others afterwards")
        self.recipients.append(path[1])
        return "250 go on"

    async def data(self) -> str:
        """The text of the message. When this returns, its bytes are on the disk."""
        if not self.recipients:
            raise Refused("503 say RCPT first")
        name = f"{os.getpid()}.{os.urandom(12).hex()}"
        path = MAILDIR / "tmp" / name
        try:
            with await asyncio.to_thread(path.open, "xb") as file:
                await self.reply("354 end it with a line that is one dot")
                async with asyncio.timeout(MESSAGE_SECONDS):
                    await self.receive_text(file)
                await asyncio.to_thread(os.fsync, file.fileno())
            await asyncio.to_thread(path.rename, MAILDIR / "new" / name)
        finally:
            path.unlink(missing_ok=True)
        self.reset()
        return f"250 kept as {name}"

    async def receive_text(self, file: BinaryIO) -> None:
        """Write the message, the dots that stand for none taken away (RFC 5321, section 4.5.2)."""
        trace = [f"Return-Path: <{self.sender}>", *[f"Delivered-To: {each}" for each in self.recipients]]
        trace.append(f"Received: from {self.client} ([{self.stream.peer.host}]) by {NAME}; {formatdate()}")
        file.write("".join(f"{line}\r\n" for line in trace).encode())
        size = 0
        while (line := await self.line()) != b".":
            size += len(line) + 2
            if size > MESSAGE_BYTES:
                raise Leave(f"552 a message may have {MESSAGE_BYTES} bytes")
            file.write(line.removeprefix(b".") + b"\r\n")
        file.flush()

    def reset(self) -> str:
        """Forget the message that has begun."""
        self.sender, self.recipients = None, []
        return "250 forgotten"
