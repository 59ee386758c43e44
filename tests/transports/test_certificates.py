"""The files of certificates and keys: what is wrong with them, and what happens when they change."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.authority import Authority
from tests.transports.conftest import Run
from tests.transports.talker import HERE, Talker, connected, greets, serving
from tomada import transports
from tomada.address import Address
from tomada.errors import ConnectFailed, HandshakeFailed, ListenFailed
from tomada.settings import TLS
from tomada.transports import Options, certificates

Make = Callable[[Authority, Path], TLS]


def encrypted(authority: Authority, folder: Path) -> TLS:
    certificate, key = authority.apart("encrypted", "localhost")
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    form, secret = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    file = folder / "locked.pem"
    file.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, secret))
    return TLS(certificate=str(certificate), key=str(file))


def of_two(authority: Authority, _: Path) -> TLS:
    return TLS(certificate=str(authority.apart("one", "localhost")[0]), key=str(authority.apart("two", "localhost")[1]))


def damaged(authority: Authority, folder: Path) -> TLS:
    file = folder / "damaged.pem"
    file.write_bytes(
        authority.certificate.read_bytes().replace(b"BEGIN CERTIFICATE-----\n", b"BEGIN CERTIFICATE-----\n~")
    )
    return TLS(certificate=str(file))


def no_pem(_: Authority, folder: Path) -> TLS:
    file = folder / "no.pem"
    file.write_bytes(b"\x30\x82")
    return TLS(certificate=str(file))


def broken_authority(authority: Authority, folder: Path) -> TLS:
    file = folder / "broken-authority.pem"
    file.write_bytes(b"-----BEGIN CERTIFICATE-----\nnot base64~\n-----END CERTIFICATE-----\n")
    return TLS(certificate=str(authority.certificate), authority=str(file))


WRONG: dict[str, Make] = {
    "needs a certificate; give it its certificate: tls=tomada.TLS(certificate=…, key=…), or --tls-certificate FILE "
    "--tls-key FILE; to develop, --tls-dev makes one": lambda *_: TLS(),
    "the certificate /nowhere/server.pem cannot be read: No such file or directory; check": lambda *_: TLS(
        certificate="/nowhere/server.pem"
    ),
    "/nowhere/key.pem cannot be read: No such file or directory": lambda authority, _: TLS(
        certificate=str(authority.certificate), key="/nowhere/key.pem"
    ),
    "cannot be read: Is a directory": lambda _, folder: TLS(certificate=str(folder)),
    "there is no private key in ": lambda authority, _: TLS(certificate=str(authority.apart("alone", "localhost")[0])),
    "no.pem is no PEM file with a certificate in it": no_pem,
    "two-key.pem is not that of the certificate ": of_two,
    "is encrypted, and nobody is there to type a password; decrypt it: openssl pkey -in ": encrypted,
    "damaged.pem cannot be used: ": damaged,
    "broken-authority.pem is damaged: ": broken_authority,
    "the authority /nowhere/authority.pem cannot be read": lambda authority, _: TLS(
        certificate=str(authority.certificate), authority="/nowhere/authority.pem"
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_file_is_told_with_its_name(
    run: Run, authority: Authority, tmp_path: Path, text: str
) -> None:
    async def main() -> None:
        tls = WRONG[text](authority, tmp_path)
        with pytest.raises(ListenFailed) as caught:
            await transports.listen(HERE, Talker, options=Options(tls=tls))
        assert str(caught.value).startswith("cannot listen on tls://127.0.0.1:0: ")
        assert text in str(caught.value)

    run(main())


def test_a_server_without_any_setting_is_told_the_same(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ListenFailed, match="--tls-dev makes one"):
            await transports.listen(HERE, Talker)

    run(main())


def test_a_client_is_told_of_its_files_before_it_connects(run: Run) -> None:
    async def main() -> None:
        tls = TLS(authority="/nowhere/authority.pem")
        with pytest.raises(ConnectFailed, match=r"^cannot connect to tls://localhost:1: the authority /nowhere/auth"):
            await transports.connect(Address("tls", "localhost", 1), Talker, timeout=30, options=Options(tls=tls))

    run(main())


def test_a_file_that_this_user_may_not_read_is_told(
    run: Run, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(certificates, "open", forbidden, raising=False)

    async def main() -> None:
        with pytest.raises(
            ListenFailed, match=r"server\.pem cannot be read: Permission denied; check the path and who"
        ):
            await transports.listen(HERE, Talker, options=Options(tls=authority.server))

    run(main())


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: TLS(key="key.pem"), r"^the key key\.pem has no certificate"),
        (lambda: TLS(protocols=["h2"]), r"protocols is \['h2'\], it must be a tuple"),  # type: ignore[arg-type] # the case
        (lambda: TLS(protocols=("",)), "'' is no protocol's name: 1 to 255"),
        (lambda: TLS(protocols=("é",)), "'é' is no protocol's name"),
        (lambda: TLS(protocols=("x" * 256,)), "is no protocol's name"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_once(wrong: Callable[[], TLS], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wrong()


def replace(file: Path, content: bytes) -> None:
    """As those who renew certificates do."""
    beside = file.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(file)


def test_a_renewed_certificate_is_used_for_new_connections_and_old_ones_go_on(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    async def main() -> None:
        file = tmp_path / "server.pem"
        file.write_bytes(authority.certificate.read_bytes())
        async with serving(TLS(certificate=str(file))) as server, connected(server.address, authority.client) as old:
            before = await greets(server.address, authority)
            server.listener.reload_certificates()
            assert await greets(server.address, authority) == before
            replace(file, authority.issue("renewed", "localhost", "127.0.0.1").read_bytes())
            assert await greets(server.address, authority) == before, "not read yet"
            server.listener.reload_certificates()
            after = await greets(server.address, authority)
            assert after != before
            old.transport.write(b"still here")
            assert await old.hear(10) == b"STILL HERE"

    run(main())


def test_a_broken_new_file_is_told_and_the_old_certificate_stays(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    async def main() -> None:
        file = tmp_path / "server.pem"
        file.write_bytes(authority.certificate.read_bytes())
        async with serving(TLS(certificate=str(file))) as server:
            before = await greets(server.address, authority)
            replace(file, b"half a fi")
            with pytest.raises(ListenFailed, match=r"^the certificate stays as it was: .* is no PEM file"):
                server.listener.reload_certificates()
            assert await greets(server.address, authority) == before

    run(main())


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - a timer brings it about
        await asyncio.sleep(0.005)


def test_changed_files_are_noticed_without_a_word(
    run: Run, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(certificates, "LOOK_SECONDS", 0.01)
    caplog.set_level("INFO")

    async def main() -> None:
        file = tmp_path / "server.pem"
        file.write_bytes(authority.certificate.read_bytes())
        async with serving(TLS(certificate=str(file))) as server:
            before = await greets(server.address, authority)
            replace(file, b"half a fi")
            await until(lambda: "the certificate stays as it was: " in caplog.text)
            assert await greets(server.address, authority) == before
            file.unlink()
            await until(lambda: "No such file" in caplog.text)
            replace(file, authority.issue("renewed", "localhost", "127.0.0.1").read_bytes())
            await until(lambda: "new certificate from " in caplog.text)
            assert await greets(server.address, authority) != before
        told = caplog.text.count("stays as it was")
        replace(file, b"nobody looks any more")
        await asyncio.sleep(0.05)
        assert caplog.text.count("stays as it was") == told

    run(main())


def test_certificate_and_key_may_change_one_after_the_other(
    run: Run, authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(certificates, "LOOK_SECONDS", 0.01)
    caplog.set_level("INFO")

    async def main() -> None:
        (certificate, key), (new_certificate, new_key) = (
            authority.apart(name, "localhost", "127.0.0.1") for name in ("first", "second")
        )
        async with serving(TLS(certificate=str(certificate), key=str(key))) as server:
            before = await greets(server.address, authority)
            replace(certificate, new_certificate.read_bytes())
            await until(lambda: "is not that of the certificate" in caplog.text)
            assert await greets(server.address, authority) == before
            replace(key, new_key.read_bytes())
            await until(lambda: "new certificate from " in caplog.text)
            assert await greets(server.address, authority) != before

    run(main())


def test_a_clients_trust_is_read_again_when_its_file_has_changed(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    async def main() -> None:
        stranger = Authority(tmp_path)
        file = tmp_path / "trusted.pem"
        file.write_bytes(stranger.file.read_bytes())
        trusting = TLS(authority=str(file))
        async with serving(authority.server) as server:
            with pytest.raises(HandshakeFailed):
                await transports.connect(server.address, Talker, timeout=30, options=Options(tls=trusting))
            replace(file, authority.file.read_bytes())
            async with connected(server.address, trusting):
                pass

    run(main())


def test_without_truststore_python_is_asked_whom_to_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(certificates, "import_module", missing)
    certificates.has_truststore.cache_clear()
    try:
        assert not certificates.has_truststore()
        assert certificates._as_the_system_trusts().check_hostname
    finally:
        certificates.has_truststore.cache_clear()
