"""Who is refused, by whom, and in which words."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.authority import Authority
from tests.transports.conftest import Run
from tests.transports.talker import Talker, connected, greets, serving
from tomada import transports
from tomada.address import Address
from tomada.errors import ConnectFailed, HandshakeFailed
from tomada.settings import TLS
from tomada.transports import Options, certificates, stack, tls_errors


async def refused(address: Address, tls: TLS | None) -> str:
    """Why the server is refused."""
    with pytest.raises((ConnectFailed, HandshakeFailed)) as caught:
        await transports.connect(address, Talker, timeout=30, options=Options(tls=tls))
    assert str(caught.value).startswith(f"{address} was reached, but did not complete the handshake: ")
    return str(caught.value).partition("the handshake: ")[2]


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "self-signed.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def wrong_certificates(authority: Authority, folder: Path) -> dict[str, Path]:
    return {
        "the server's certificate has expired (Jan  1 00:00:00 2021 GMT): renew it": authority.issue(
            "expired", "localhost", ends=2021
        ),
        "the server's certificate is not valid yet (Jan  1 00:00:00 2400 GMT): check the clocks": authority.issue(
            "early", "localhost", begins=2400
        ),
        "the server's certificate is not for localhost but for example.org, 10.0.0.1: connect by": authority.issue(
            "other", "example.org", "10.0.0.1"
        ),
        "the server's certificate is self-signed, nobody vouches for it; if you trust it, name": self_signed(folder),
    }


def test_each_fault_of_a_servers_certificate_is_told_with_what_to_do(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    async def main() -> None:
        for text, certificate in wrong_certificates(authority, tmp_path).items():
            async with serving(TLS(certificate=str(certificate))) as server:
                called = Address("tls", "localhost", server.port)
                assert (await refused(called, authority.client)).startswith(text)

    run(main())


def test_a_number_must_be_in_the_certificate_too(run: Run, authority: Authority) -> None:
    async def main() -> None:
        only_name = authority.issue("named", "localhost")
        async with serving(TLS(certificate=str(only_name))) as server:
            assert (await refused(server.address, authority.client)).startswith(
                "the server's certificate is not for 127.0.0.1 but for localhost"
            )
            async with connected(Address("tls", "localhost", server.port), authority.client):
                pass

    run(main())


def test_a_common_name_is_no_host_name(run: Run, authority: Authority) -> None:
    """RFC 9525, section 2."""

    async def main() -> None:
        old_fashioned = authority.issue("old", "old@example.org", common_name="localhost")
        async with serving(TLS(certificate=str(old_fashioned))) as server:
            called = Address("tls", "localhost", server.port)
            assert "is not for localhost but for old@example.org" in await refused(called, authority.client)

    run(main())


def test_the_check_of_the_name_is_what_refuses(run: Run, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same connection is open where a mutant leaves that check out."""

    async def main() -> None:
        async with serving(TLS(certificate=str(authority.issue("other", "example.org")))) as server:
            await refused(server.address, authority.client)
            real = certificates.client_context

            def mutant(tls: TLS | None) -> ssl.SSLContext:
                context = real(tls)
                context.check_hostname = False
                return context

            monkeypatch.setattr(stack, "client_context", mutant)
            try:
                async with connected(server.address, authority.client) as client:
                    client.transport.write(b"x")
                    assert await client.hear(1) == b"X"
            finally:
                certificates._client_context.cache_clear()

    run(main())


@pytest.mark.parametrize("trust", ["the system's", "python's"])
def test_an_unknown_authority_is_named(
    run: Run, authority: Authority, monkeypatch: pytest.MonkeyPatch, trust: str
) -> None:
    async def main() -> None:
        has_truststore = trust == "the system's"
        monkeypatch.setattr(certificates, "has_truststore", lambda: has_truststore)
        monkeypatch.setattr(tls_errors, "has_truststore", lambda: has_truststore)
        certificates._client_context.cache_clear()
        async with serving(authority.server) as server:
            text = await refused(server.address, None)
            assert text.startswith("the server's certificate comes from an authority that is not trusted here (tests, ")
            assert "tls=tomada.TLS(authority=…) or --tls-authority FILE" in text
            assert ("pip install 'tomada[tls]'" in text) is not has_truststore
        certificates._client_context.cache_clear()

    run(main())


def test_a_client_that_trusts_nobody_is_told_of_at_the_server(
    run: Run, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(authority.server) as server:
            await refused(server.address, None)
            await greets(server.address, authority)
        assert "refused: the peer refused: it does not trust the authority of this end's certificate" in caplog.text
        assert "(its TLS alert: unknown ca)" in caplog.text

    run(main())


def test_a_client_without_a_certificate_is_told_that_it_needs_one(
    run: Run, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """With TLS 1.3 it hears of it only when its own end of the handshake is complete."""

    async def main() -> None:
        async with (
            serving(authority.mutual()) as server,
            connected(server.address, authority.client) as client,
        ):
            reason = await client.lost
            assert isinstance(reason, HandshakeFailed)
            assert "the peer refused: it wants a certificate of this end" in str(reason)
            assert server.accepted[0].data == b""
        assert "refused: the client has no certificate, and must have one here: tls=tomada.TLS(" in caplog.text

    run(main())


def test_the_certificate_of_a_client_is_checked(
    run: Run, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        stranger = Authority(tmp_path)
        for file in (
            stranger.issue("stranger", "me@example.org"),
            authority.issue("late", "me@example.org", ends=2021),
        ):
            shown = TLS(certificate=str(file), authority=str(authority.file))
            async with serving(authority.mutual()) as server, connected(server.address, shown) as client:
                await client.until(lambda it: it.lost.done())
                assert isinstance(client.lost.result(), HandshakeFailed)
        assert "refused: the client's certificate comes from an authority that is not trusted here" in caplog.text
        assert "refused: the client's certificate has expired: renew it" in caplog.text

    run(main())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_a_version_that_is_too_old_is_refused(run: Run, authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    old = ssl.create_default_context(cafile=authority.file)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")

    async def main() -> None:
        async with serving(authority.server) as server:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", server.port, ssl=old, server_hostname="localhost")
            await greets(server.address, authority)
        assert "refused: no version of TLS in common: this end speaks 1.2 and newer" in caplog.text

    run(main())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "spoke plain HTTP to a TLS address"),
        (b"\x00\x00\x00\x30\x01\x00\x00\x00" + bytes(8) + b"\x99\xa6tomada", "must connect to tls://"),
        (b"\x00\xff", "spoke plain tcp to a tls address: it sent what begins with b'\\x00\\xff', which is no TLS"),
    ],
    ids=["http", "tomada", "noise"],
)
def test_who_speaks_no_tls_is_told_of_and_gets_an_alert(
    run: Run, authority: Authority, caplog: pytest.LogCaptureFixture, said: bytes, told: str
) -> None:
    async def main() -> None:
        async with serving(authority.server) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(said)
            assert await reader.read() == b"\x15\x03\x01\x00\x02\x02\x0a"
            writer.close()
            await greets(server.address, authority)
        assert told in caplog.text

    run(main())


def failure(reason: str) -> str:
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:1)")
    error.reason = reason
    return tls_errors.failure(error, None, "h", accepting=False)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "the peer refused: it wants a certificate of this end: tls="),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "this end's certificate has expired there"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "no version of TLS in common"),
        ("TLSV1_UNRECOGNIZED_NAME", "it has no certificate for the name that was asked for (its TLS alert: unrecog"),
        ("TLSV1_ALERT_INTERNAL_ERROR", "the peer refused: internal error (its TLS alert: internal error)"),
        ("NO_SHARED_CIPHER", "no cipher in common"),
        ("SOMETHING_NEW", "TLS failed: something new"),
    ],
)
def test_what_openssl_says_is_translated(reason: str, text: str) -> None:
    assert text in failure(reason)


def test_what_is_in_no_table_is_told_in_openssls_own_words() -> None:
    strange = ssl.SSLError(1, "strange")
    strange.reason = ""
    assert tls_errors.failure(strange, None, "h", accepting=False) == "TLS failed: strange"
    other = ssl.SSLCertVerificationError(1, "no")
    other.verify_code, other.verify_message = 99, "out of fashion"
    told = tls_errors.failure(other, None, "h", accepting=True)
    assert told == "the client's certificate cannot be accepted: out of fashion"


def test_a_server_that_goes_away_without_a_word_may_be_tried_again(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async def end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        for handler in (end, reset):
            async with await asyncio.start_server(handler, "127.0.0.1", 0) as server:
                address = Address("tls", "127.0.0.1", server.sockets[0].getsockname()[1])
                with pytest.raises(
                    ConnectFailed, match="ended the connection instead of answering in TLS; if it speak"
                ):
                    await transports.connect(address, Talker, timeout=30, options=Options(tls=authority.client))

    run(main())


def test_a_plain_server_that_speaks_first_is_recognised(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async def banner(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            writer.close()

        async with await asyncio.start_server(banner, "127.0.0.1", 0) as server:
            address = Address("tls", "127.0.0.1", server.sockets[0].getsockname()[1])
            text = await refused(address, authority.client)
            assert text == "the peer does not speak TLS: use a tcp:// address; it sent what begins with b'SSH-2.0-'"

    run(main())
