"""A file server: HTTP/1.1 (RFC 9110, RFC 9112), whose grammar is left to the library h11.

::

    ROOT=~/Music tomada serve examples/classics/http_files.py
    curl http://127.0.0.1:8080/                    # a folder is listed, or is its index.html
    curl -C - -O http://127.0.0.1:8080/song.flac   # goes on where it was cut off

One task serves a connection, request after request. Looking up files blocks, so that is done in a thread; the bytes of
a file go from the disk to the socket within the kernel.
"""

import asyncio
import html
import mimetypes
import os
import re
from contextlib import ExitStack, suppress
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit

import h11
import msgspec

import tomada

ADDRESS = os.environ.get("ADDRESS", "tcp://127.0.0.1:8080")
ROOT = Path(os.environ.get("ROOT", ".")).expanduser().resolve()
HEAD_BYTES = 16_384
END = b"\r\n\r\n"
RANGE = re.compile("bytes=([0-9]{0,18})-([0-9]{0,18})")

app = tomada.App("http-files")


class Answer(msgspec.Struct):
    """A response, and what follows its headers: a text, or `count` bytes of a file from `first` on."""

    status: HTTPStatus
    headers: dict[str, str]
    body: bytes | BinaryIO = b""
    first: int = 0
    count: int = 0


class Refused(Exception):
    """The request gets an error for an answer."""

    def __init__(self, status: int, **headers: str) -> None:
        self.answer = page(status, f"<h1>{HTTPStatus(status).phrase}</h1>", **headers)


@app.stream(ADDRESS)
async def serve_files(stream: tomada.Stream) -> None:
    """Answer requests until the client closes, or makes a mistake after which nothing can be understood."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    with suppress(tomada.StreamEnded):
        while True:
            try:
                request = await receive_request(stream, http)
                answer = await asyncio.to_thread(look_up, request)
            except Refused as refused:
                answer = refused.answer
            await send(stream, http, answer)
            if http.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                return
            http.start_next_cycle()


async def receive_request(stream: tomada.Stream, http: h11.Connection) -> h11.Request:
    """The next request. It may be long in coming, but once begun it must be whole by `Deadlines.frame`."""
    try:
        head = await stream.receive_until(END, HEAD_BYTES)
        http.receive_data(head.lstrip(b"\r\n") + END)
        request = http.next_event()
        http.next_event()  # the end of the request, unless it has a body: nothing that is served here needs one
    except tomada.LimitExceeded:
        raise Refused(431) from None
    except h11.RemoteProtocolError as error:
        raise Refused(error.error_status_hint) from None
    if not isinstance(request, h11.Request) or request.method not in (b"GET", b"HEAD"):
        raise Refused(405, Allow="GET, HEAD")
    return request


async def send(stream: tomada.Stream, http: h11.Connection, answer: Answer) -> None:
    """Send all of it. Where the file becomes shorter meanwhile, `FileChanged` ends the connection by a reset."""
    headers = {"Date": formatdate(usegmt=True), **answer.headers}
    if http.their_state is not h11.DONE:
        headers["Connection"] = "close"  # what comes next is a body that nobody reads, or nonsense
    reason = answer.status.phrase.encode()
    response = h11.Response(status_code=answer.status, reason=reason, headers=list(headers.items()))
    head = http.send(response) or b""
    if isinstance(answer.body, bytes):
        await stream.send(head + (http.send(h11.Data(data=answer.body)) or b""))
    else:
        with answer.body as file:
            await stream.send(head)
            counted: Any = range(answer.count)  # h11 counts what passes it by; the kernel sends it
            http.send_with_data_passthrough(h11.Data(data=counted))
            await stream.send_file(file, answer.first, answer.count)
    http.send(h11.EndOfMessage())


def look_up(request: h11.Request) -> Answer:
    """The answer to a request. To be called in a thread: it waits for the disk."""
    asked = {name.decode(): value.decode("latin-1") for name, value in request.headers}
    try:
        answer = find(request.target.decode(), asked)
    except Refused as refused:
        answer = refused.answer
    if request.method == b"HEAD":
        if not isinstance(answer.body, bytes):
            answer.body.close()
        answer.body = b""
    return answer


def find(target: str, asked: dict[str, str]) -> Answer:
    """What is at `target`. Raises `Refused`."""
    try:
        url = target.partition("?")[0] if target.startswith("/") else urlsplit(target).path
        place = unquote(url, errors="surrogateescape").strip("/")
        path = inside(ROOT / place)
        if path.is_dir() and not url.endswith("/"):
            raise Refused(301, Location=quote(f"/{place}/", errors="surrogateescape"))
        if (path / "index.html").is_file():
            path = inside(path / "index.html")
        return page(200, listing(path, place)) if path.is_dir() else open_file(path, asked)
    except (ValueError, UnicodeError):
        raise Refused(400) from None
    except PermissionError:
        raise Refused(403) from None
    except (OSError, RuntimeError):  # there is none, or it is a circle of symbolic links
        raise Refused(404) from None


def inside(path: Path) -> Path:
    """Where `path` leads, all symbolic links followed. Raises `Refused` where that is outside of the root."""
    found = path.resolve(strict=True)
    if not found.is_relative_to(ROOT):
        raise Refused(404)
    return found


def listing(folder: Path, place: str) -> str:
    """The names in a folder, as links."""
    names = ["../", *sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())]
    links = [f'<li><a href="./{quote(name, errors="surrogateescape")}">{html.escape(name)}</a>' for name in names]
    return f"<h1>{html.escape(place)}/</h1>\n<ul>\n" + "\n".join(links) + "\n</ul>"


def page(status: int, text: str, **headers: str) -> Answer:
    """An answer that is made here."""
    body = f"<!DOCTYPE html>\n{text}\n".encode(errors="replace")
    own = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))}
    return Answer(HTTPStatus(status), {**own, **headers}, body)


def open_file(path: Path, asked: dict[str, str]) -> Answer:
    """A file, a part of it, or the news that the client has it already. Raises `Refused`."""
    if not path.is_file():
        raise Refused(404)  # a device, or a pipe, which opening would wait for
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        status = os.fstat(file.fileno())
        size, modified = status.st_size, formatdate(status.st_mtime, usegmt=True)
        tag = f'"{status.st_mtime_ns:x}-{size:x}"'
        headers = {"ETag": tag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
        if is_known(asked, tag, modified):
            return Answer(HTTPStatus.NOT_MODIFIED, headers)
        kind, packed = mimetypes.guess_type(path.name)
        headers["Content-Type"] = kind if kind and not packed else "application/octet-stream"
        first, count = part(asked, tag, modified, size)
        headers["Content-Length"] = str(count)
        if count < size:
            headers["Content-Range"] = f"bytes {first}-{first + count - 1}/{size}"
        stack.pop_all()
    return Answer(HTTPStatus.OK if count == size else HTTPStatus.PARTIAL_CONTENT, headers, file, first, count)


def is_known(asked: dict[str, str], tag: str, modified: str) -> bool:
    """Whether the client has the file as it is (RFC 9110, section 13.2.2)."""
    if "if-none-match" in asked:
        tags = [each.strip().removeprefix("W/") for each in asked["if-none-match"].split(",")]
        return tag in tags or tags == ["*"]
    return asked.get("if-modified-since") == modified


def part(asked: dict[str, str], tag: str, modified: str, size: int) -> tuple[int, int]:
    """First byte and number of bytes: all, unless it is one range that is asked for (RFC 9110, section 14.2)."""
    wanted = RANGE.fullmatch(asked.get("range", ""))
    if wanted is None or wanted[0] == "bytes=-" or asked.get("if-range", tag) not in (tag, modified):
        return 0, size
    if wanted[1]:
        first, last = int(wanted[1]), int(wanted[2] or size)
        if last < first:
            return 0, size
    else:
        first, last = max(0, size - int(wanted[2])), size
    if first >= size:
        raise Refused(416, **{"Content-Range": f"bytes */{size}"})
    return first, min(last + 1, size) - first
