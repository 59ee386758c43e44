"""The mail receiver, with smtplib and swaks as its clients, and with sockets that mean harm."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme

import tomada
from tests.examples.classics.conftest import Load, Run, Serve, all_from, ran, raw

ENVELOPE = b"EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"


@pytest.fixture(scope="module")
def at(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> tuple[tomada.Address, Path]:
    folder = tmp_path_factory.mktemp("smtp")
    (address,) = serve("smtp_receiver", ADDRESS="tcp://127.0.0.1:0", MAILDIR=folder)
    return address, folder


@pytest.fixture
def address(at: tuple[tomada.Address, Path]) -> tomada.Address:
    return at[0]


@pytest.fixture
def new(at: tuple[tomada.Address, Path]) -> Path:
    """Where messages appear; there are none yet."""
    folder = at[1] / "new"
    for path in folder.iterdir():
        path.unlink()
    return folder


@pytest.fixture
def client(address: tomada.Address) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(address.host, address.port or 0, local_hostname="me", timeout=20) as smtp:
        yield smtp


def kept(new: Path) -> list[bytes]:
    return [path.read_bytes() for path in new.iterdir()]


def test_a_message_from_smtplib(client: smtplib.SMTP, new: Path) -> None:
    message = EmailMessage()
    message["Subject"] = "olá"
    message["From"], message["To"] = "ana@x", "rui@y"
    message.set_content("one\n.\n..two\n\nend\n")

    assert client.send_message(message) == {}
    assert client.send_message(message, to_addrs=["rui@y", "eva@z"]) == {}
    for text in kept(new):
        assert text.startswith(b"Return-Path: <ana@x>\r\nDelivered-To: rui@y\r\n")
        assert b"Received: from me ([127.0.0.1]) by localhost; " in text
        assert text.endswith(b"\r\none\r\n.\r\n..two\r\n\r\nend\r\n")
    assert sum(b"Delivered-To: eva@z\r\n" in text for text in kept(new)) == 1


def test_a_message_from_swaks(address: tomada.Address, new: Path) -> None:
    words = ("--server", f"127.0.0.1:{address.port}", "--to", "ana@x", "--from", "<>", "--body", ".dots\n..\n")
    for more in ((), ("--pipeline",), ("--protocol", "SMTP")):
        done = ran("swaks", *words, *more)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(kept(new)) == 3
    assert all(b"\r\n.dots\r\n..\r\n" in text and text.startswith(b"Return-Path: <>\r\n") for text in kept(new))


def test_what_the_server_can_do_is_told(client: smtplib.SMTP) -> None:
    assert client.ehlo()[0] == 250
    assert client.esmtp_features == {"size": "10485760", "pipelining": "", "8bitmime": ""}
    assert client.verify("ana")[0] == 252
    assert client.noop()[0] == 250


def test_commands_out_of_turn_or_written_wrongly(client: smtplib.SMTP, new: Path) -> None:
    said = [
        ("MAIL FROM:<a@x>", 503),
        ("EHLO", 501),
        ("EHLO two words", 501),
        ("HELO me", 250),
        ("RCPT TO:<b@y>", 503),
        ("MAIL TO:<a@x>", 501),
        ("MAIL FROM:a@x", 501),
        ("MAIL FROM:<a@x> SIZE=10485761", 552),
        ("MAIL FROM:<a@x> FUN=yes", 555),
        ("mail from:<a@x> size=10485760 body=8bitmime", 250),
        ("DATA", 503),
        ("RSET", 250),
    ]
    for command, code in said:
        assert client.docmd(command)[0] == code, command
    assert client.docmd("EXPN", "all")[0] == 502
    assert client.noop() == (421, b"too many mistakes")
    assert kept(new) == []


def test_a_message_that_is_reset_or_cut_leaves_nothing(
    client: smtplib.SMTP, address: tomada.Address, new: Path
) -> None:
    client.helo()
    client.mail("a@x")
    client.rcpt("b@y")
    assert client.rset()[0] == 250
    assert client.docmd("DATA")[0] == 503
    with raw(address) as connected:
        connected.sendall(ENVELOPE + b"half a message\r\n")
        while b"354 " not in connected.recv(1_000):
            pass
    with raw(address) as connected:
        connected.sendall(ENVELOPE + b"Subject: x\r\n.\r\nQUIT\r\n")
        assert all_from(connected).endswith(b"221 goodbye\r\n")
    assert len(kept(new)) == 1


def test_too_many_recipients_are_refused_and_the_others_get_it(client: smtplib.SMTP, new: Path) -> None:
    names = [f"{number}@y" for number in range(101)]
    refused = client.sendmail("a@x", names, "Subject: all\n\nhello\n")

    assert list(refused) == ["100@y"]
    assert kept(new)[0].count(b"Delivered-To: ") == 100


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r\n\x00.\r\n"]
)
def test_no_second_message_can_be_smuggled_within_a_first(address: tomada.Address, new: Path, end: bytes) -> None:
    inner = b"MAIL FROM:<boss@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: forged\r\n\r\nfire them\r\n.\r\nQUIT\r\n"
    with raw(address) as connected:
        connected.sendall(ENVELOPE + b"Subject: good\r\n\r\ntext" + end + inner)
        answer = all_from(connected)
    if b"\x00" in end:
        assert len(kept(new)) == 1, "which is one message, up to the dot"
    else:
        assert b"550 a bare CR or LF" in answer
        assert kept(new) == []
    assert answer.count(b"354 ") == 1


@pytest.mark.parametrize(
    ("flood", "answer"),
    [
        (b"X" * 1_000_000, b"500 the line is too long"),
        (b"\x00\xff\r\n" * 100_000, b"421 too many mistakes"),
        (b"NOOP\nQUIT\r\n", b"550 a bare CR or LF"),
        (ENVELOPE + b"x" * 1_000_000, b"500 the line is too long"),
        (ENVELOPE + (b"x" * 900 + b"\r\n") * 12_000, b"552 a message may have 10485760 bytes"),
    ],
)
def test_floods_end_while_others_are_served(
    address: tomada.Address, new: Path, client: smtplib.SMTP, flood: bytes, answer: bytes
) -> None:
    with raw(address) as connected:
        for start in range(0, len(flood), 100_000):
            try:
                connected.sendall(flood[start : start + 100_000])
            except ConnectionError:
                break
            assert client.noop()[0] == 250
        assert answer in all_from(connected)
    assert kept(new) == []


def test_silence_and_trickles_end(load: Load, run: Run, tmp_path: Path) -> None:
    classic = load("smtp_receiver", ADDRESS="tcp://127.0.0.1:0", MAILDIR=tmp_path)
    classic.MESSAGE_SECONDS = 0.2

    async def main() -> None:
        haste = tomada.Deadlines(idle=0.2, frame=0.2)
        async with tomada.serve(classic.app, deadlines=haste) as server:
            for said in (b"", b"EHL", ENVELOPE + b"one line\r\n"):
                async with tomada.connect_stream(server.addresses[0]) as stream:
                    await stream.send(said)
                    assert [line async for line in stream.lines()][-1] == b"421 too slow"

    run(main())
    assert list((tmp_path / "tmp").iterdir()) == []


def test_who_never_reads_the_answers_is_cut(load: Load, run: Run, tmp_path: Path) -> None:
    classic = load("smtp_receiver", ADDRESS="tcp://127.0.0.1:0", MAILDIR=tmp_path)

    async def main() -> None:
        limits, haste = tomada.Limits(buffer_bytes=1_024), tomada.Deadlines(progress=0.2)
        async with tomada.serve(classic.app, limits=limits, deadlines=haste) as server:
            with raw(server.addresses[0]) as connected:
                connected.setblocking(False)
                loop = asyncio.get_running_loop()
                with pytest.raises(ConnectionError):
                    await loop.sock_sendall(connected, b"EHLO me\r\n" * 10_000_000)

    run(main())


def test_a_message_goes_encrypted_and_nothing_said_before_counts(serve: Serve, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    (address,) = serve("smtp_receiver", ADDRESS="tcp://127.0.0.1:0", MAILDIR=tmp_path, CERTIFICATE=tmp_path / "own.pem")
    with smtplib.SMTP(address.host, address.port or 0, local_hostname="me", timeout=20) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("starttls")
        smtp.starttls(context=trusting)
        assert smtp.docmd("MAIL FROM:<a@x>")[0] == 503
        smtp.ehlo()
        assert not smtp.has_extn("starttls")
        assert smtp.docmd("STARTTLS")[0] == 502
        assert smtp.sendmail("a@x", ["b@y"], "Subject: sealed\n\nx\n") == {}
    with raw(address) as connected:
        connected.sendall(b"EHLO me\r\nSTARTTLS\r\nMAIL FROM:<a@x>\r\n")
        assert all_from(connected).endswith(b"220 go on\r\n")
    assert len(kept(tmp_path / "new")) == 1
