"""A file server: FTP (RFC 959) in passive mode (RFC 2428), with resume, upload and listings (RFC 3659).

::

    ROOT=~/Music FTP_USER=ana FTP_PASSWORD=secret tomada serve examples/classics/ftp_server.py
    curl ftp://127.0.0.1:2121/                             # anonymous: may read
    curl -C - -O ftp://127.0.0.1:2121/song.flac            # goes on where it was cut off
    curl -T song.flac ftp://ana:secret@127.0.0.1:2121/     # the one user: may write

Files and listings travel on connections of their own, each to a listener that lives no longer than the one connection.
A transfer runs in a task beside the commands, so that ABOR can end it.
"""

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

from ftp_folder import Folder, Refused

import tomada

ADDRESS = os.environ.get("ADDRESS", "tcp://127.0.0.1:2121")
ROOT = Path(os.environ.get("ROOT", ".")).expanduser().resolve()
USER, PASSWORD = os.environ.get("FTP_USER", ""), os.environ.get("FTP_PASSWORD", "")
LINE_BYTES = 4_096
FILE_BYTES = 1 << 34
CONNECT_SECONDS = 20
MISTAKES = 20
TELNET = b"\xff\xf4\xf2"  # some clients send these before ABOR
FEATURES = ("EPSV", "MDTM", "MLST type*;size*;modify*;", "PASV", "REST STREAM", "SIZE", "UTF8")
ANSWERS = {
    "SYST": "215 UNIX Type: L8",
    "FEAT": "211-More:\n " + "\n ".join(FEATURES) + "\n211 That is all",
    "ABOR": "226 nothing is under way",
    "TYPE": "200 done: all is sent as it is",
    **dict.fromkeys(("NOOP", "OPTS", "MODE", "STRU", "ALLO"), "200 done"),
}
TRANSFERS = {"RETR", "STOR", "APPE", "LIST", "NLST", "MLSD"}
CHANGES = {"STOR", "APPE", "DELE", "MKD", "RMD", "RNFR", "RNTO"}

app = tomada.App("ftp-server")


@app.stream(ADDRESS)
async def serve_files(stream: tomada.Stream) -> None:
    """Obey commands until QUIT, silence, or too many mistakes."""
    session = Session(stream)
    watch = asyncio.create_task(watch_for_abort(session))
    try:
        await session.reply("220 tomada")
        while session.mistakes < MISTAKES:
            verb, _, argument = (await session.line()).partition(" ")
            if verb.upper() == "QUIT":
                break
            await session.take(verb.upper(), argument)
        await asyncio.wait([session.transfer])
        await session.reply("221 goodbye")
    finally:
        watch.cancel()
        session.transfer.cancel()
        await asyncio.gather(watch, session.transfer, return_exceptions=True)
        if session.listener is not None:
            await session.listener.close()


async def watch_for_abort(session: "Session") -> None:
    """Some clients send ABOR with its last byte out of band: the end of that line never comes."""
    while byte := await session.stream.receive_out_of_band():
        if byte == b"\n":
            await session.take("ABOR", "")


class Session:
    """What one client has said so far."""

    def __init__(self, stream: tomada.Stream) -> None:
        self.stream = stream
        self.user = self.rights = ""
        self.mistakes = self.offset = 0
        self.folder = Folder(ROOT)
        self.listener: tomada.StreamListener | None = None
        self.transfer = asyncio.create_task(asyncio.sleep(0))

    async def reply(self, text: str) -> None:
        """Send an answer."""
        await self.stream.send(text.replace("\n", "\r\n").encode(errors="surrogateescape") + b"\r\n")

    async def line(self) -> str:
        """The next command. Whoever transfers a file may be silent meanwhile."""
        while True:
            try:
                line = await self.stream.receive_until(b"\n", LINE_BYTES)
                return line.rstrip(b"\r").rpartition(b"\r")[2].lstrip(TELNET).decode(errors="surrogateescape")
            except tomada.TimedOut:
                if self.transfer.done():
                    raise

    async def take(self, verb: str, argument: str) -> None:
        """Obey a command: at once, or, where it transfers something, in a task."""
        if not self.transfer.done():
            if verb == "ABOR":
                self.transfer.cancel()
            await asyncio.wait([self.transfer])
            if self.transfer.cancelled():
                await self.reply("426 aborted")
        if verb in ANSWERS:
            await self.reply(ANSWERS[verb])
        elif verb in ("USER", "PASS"):
            await self.tell(self.log_in(verb, argument))
        elif not self.rights or (verb in CHANGES and "w" not in self.rights):
            self.mistakes += 1
            await self.reply("530 log in as somebody who may do that")
        elif verb in TRANSFERS:
            offset, self.offset = self.offset, 0
            self.transfer = asyncio.create_task(self.tell(self.move(verb, argument, offset)))
        elif verb in ("PASV", "EPSV", "REST"):
            await self.tell(self.prepare(verb, argument))
        else:
            await self.tell(
                asyncio.to_thread(self.folder.change if verb in CHANGES else self.folder.look, verb, argument)
            )

    async def tell(self, work: Awaitable[str]) -> None:
        """Do it, and tell the client how it went."""
        try:
            answer = await work
        except Refused as refused:
            answer = str(refused)
        except tomada.FileChanged:
            answer = "451 the file became shorter meanwhile"
        except tomada.TomadaError:
            answer = "426 the data connection was lost"
        except ValueError:
            answer = "501 that is no name"
        except OSError as error:
            answer = f"550 {error.strerror}"
        self.mistakes += answer.startswith(("502", "530"))
        await self.reply(answer)

    async def log_in(self, verb: str, word: str) -> str:
        """USER and PASS."""
        if verb == "USER":
            self.user, self.rights = word, ""
            return "331 and the password?"
        if self.user in ("anonymous", "ftp"):
            self.rights = "r"
        elif PASSWORD and self.user == USER and hmac.compare_digest(os.fsencode(word), PASSWORD.encode()):
            self.rights = "rw"
        else:
            raise Refused("530 no")
        return "230 welcome"

    async def prepare(self, verb: str, word: str) -> str:
        """What comes before a transfer: a port for it on the address that the client has reached; where it begins."""
        if verb == "REST":
            if not word.isdecimal() or len(word) > 20:  # noqa: PLR2004 - no file has so many bytes
                raise Refused("501 say how many bytes there are already")
            self.offset = int(word)
            return "350 go on"
        host = self.stream.address.host
        if verb == "PASV" and ":" in host:
            raise Refused("425 this is IPv6: say EPSV")
        if self.listener is not None:
            await self.listener.close()
        self.listener = await tomada.listen_stream(tomada.Address("tcp", host, 0), waiting=4)
        port = self.listener.address.port or 0
        if verb == "EPSV":
            return f"229 Entering Extended Passive Mode (|||{port}|)"
        return f"227 Entering Passive Mode ({host.replace('.', ',')},{port >> 8},{port & 0xFF})"

    @asynccontextmanager
    async def data(self) -> AsyncIterator[tomada.Stream]:
        """The data connection. An error within resets it, so that half a file is not taken for the whole."""
        listener, self.listener = self.listener, None
        if listener is None:
            raise Refused("425 say PASV or EPSV first")
        async with listener:
            await self.reply("150 go on")
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    stream = await listener.accept()
                    while stream.peer.host != self.stream.peer.host:
                        stream.abort()  # a stranger, who has guessed the port
                        stream = await listener.accept()
            except TimeoutError:
                raise Refused("425 nobody came to the data port") from None
        async with stream:
            yield stream

    async def move(self, verb: str, name: str, offset: int) -> str:
        """Transfer a file, or a listing. What was received before the connection was lost stays, to be gone on from."""
        if verb in ("LIST", "NLST", "MLSD"):
            text = await asyncio.to_thread(self.folder.listing, verb, "" if name.startswith("-") else name)
            async with self.data() as data:
                await data.send(text.encode(errors="surrogateescape"))
            return "226 sent"
        path = await asyncio.to_thread(self.folder.file, name)
        mode = {"RETR": "rb", "APPE": "ab"}.get(verb) or ("r+b" if offset else "wb")
        with await asyncio.to_thread(path.open, mode) as file:
            if offset > file.seek(0, os.SEEK_END):
                raise Refused("554 the file is not that long")
            if verb == "STOR":
                file.seek(offset)
            async with self.data() as data:
                if verb == "RETR":
                    await data.send_file(file, offset)
                    return "226 sent"
                async for chunk in data:
                    if file.tell() + len(chunk) > FILE_BYTES:
                        raise Refused(f"552 a file may have {FILE_BYTES} bytes")
                    await asyncio.to_thread(file.write, chunk)
            file.truncate()
        return "226 kept"
