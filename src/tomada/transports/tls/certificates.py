"""What TLS is spoken with: this end's certificate and key, and the authorities whose certificates it accepts.

A server's files are looked at again every few seconds, so that a renewed certificate is used without a restart.
"""

from __future__ import annotations

import logging
import os
import ssl
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from tomada.settings import TLS

if TYPE_CHECKING:
    import asyncio

log: Final = logging.getLogger("tomada")
LOOK_SECONDS: Final = 3.0
"""Between two looks at a server's files."""

_GIVE_OWN: Final = (
    "give it its certificate: tls=tomada.TLS(certificate=…, key=…), or --tls-certificate FILE --tls-key FILE; "
    "to develop, --tls-dev makes one"
)

Look = tuple[tuple[int, int, int] | None, ...]
"""What can be seen of files without reading them."""


class Unusable(Exception):
    """A certificate, a key or an authority that cannot be used. The text names the file and says what to do."""


def client_context(tls: TLS | None) -> ssl.SSLContext:
    """What a client speaks TLS with; without an authority it trusts whom the system trusts.

    Raises:
        Unusable: A file is missing or makes no sense.
    """
    tls = tls or TLS()
    return _client_context(tls, look_at(tls))


@lru_cache(maxsize=32)  # to read the authorities of a whole system takes many milliseconds
def _client_context(tls: TLS, _files: Look) -> ssl.SSLContext:
    if tls.authority:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, tls.authority)
    else:
        context = _as_the_system_trusts()
    # A certificate's common name is no host name any more: RFC 9525, section 2.
    context.hostname_checks_common_name = False
    if tls.certificate:
        _load_own(context, tls)
    return _agreeing(context, tls)


def _as_the_system_trusts() -> ssl.SSLContext:
    if has_truststore():
        context: ssl.SSLContext = import_module("truststore").SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return context
    return ssl.create_default_context()


@lru_cache
def has_truststore() -> bool:
    """Whether the system's own trust store can be used, on every system."""
    try:
        import_module("truststore")
    except ImportError:
        return False
    return True


def server_context(tls: TLS | None) -> ssl.SSLContext:
    """What a server speaks TLS with.

    Raises:
        Unusable: There is no certificate, or a file is missing or makes no sense.
    """
    if tls is None or not tls.certificate:
        raise Unusable(f"a server that speaks TLS needs a certificate; {_GIVE_OWN}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_own(context, tls)
    if tls.authority:
        _trust(context, tls.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    # Session tickets that a client has not read when it closes make the kernel reset the connection, and what the
    # client sent last may be lost at the server.
    context.num_tickets = 0
    return _agreeing(context, tls)


def _agreeing(context: ssl.SSLContext, tls: TLS) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # so that no write ever waits for a read
    if tls.protocols:
        context.set_alpn_protocols(list(tls.protocols))
    return context


def _trust(context: ssl.SSLContext, authority: str) -> None:
    _check_readable(authority, "authority", b"-----BEGIN CERTIFICATE-----")
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError as error:
        raise Unusable(f"the authority {authority} is damaged: {error.reason or error}; take a whole file") from error


class _EncryptedError(Exception):
    """OpenSSL asks for a password."""


def _no_password() -> str:
    raise _EncryptedError


def _load_own(context: ssl.SSLContext, tls: TLS) -> None:
    certificate, key = tls.certificate, tls.key or tls.certificate
    _check_readable(certificate, "certificate", b"-----BEGIN CERTIFICATE-----")
    _check_readable(key, "key", b"PRIVATE KEY-----")
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _EncryptedError:
        way = f"openssl pkey -in {key} -out decrypted.pem, which only this user may read"
        raise Unusable(
            f"the key {key} is encrypted, and nobody is there to type a password; decrypt it: {way}"
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            why = f"the key {key} is not that of the certificate {certificate}; give the two that were made together"
        else:
            why = f"the certificate {certificate} with the key {key} cannot be used: {error.reason or error}"
        raise Unusable(why) from error


def _check_readable(file: str, what: str, mark: bytes) -> None:
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - pathlib would slow every start
            content = opened.read()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise Unusable(f"the {what} {file} cannot be read: {why}; check the path and who may read it") from error
    if mark not in content:
        if what == "key" and b"CERTIFICATE" in content:
            raise Unusable(f"there is no private key in {file}; give the key's own file: key=…, or --tls-key FILE")
        raise Unusable(f"the {what} {file} is no PEM file with a {what} in it; give one, it begins with -----BEGIN")


def look_at(tls: TLS) -> Look:
    """What the files of ``tls`` look like; it changes when they do."""
    return tuple(_look(file) for file in (tls.certificate, tls.key, tls.authority) if file)


def _look(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - pathlib would slow every start
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


class Certificates:
    """A listener's: the context that new connections are accepted with, renewed when its files are.

    Args:
        tls: The files.

    Raises:
        Unusable: They cannot be used.
    """

    __slots__ = ("_seen", "_timer", "context", "tls")

    def __init__(self, tls: TLS | None) -> None:
        self.tls = tls or TLS()
        self._seen = look_at(self.tls)
        self._timer: asyncio.TimerHandle | None = None
        self.context = server_context(tls)

    def reload(self) -> None:
        """Use what is in the files from now on; connections that are open go on as they are.

        Raises:
            Unusable: The new files cannot be used; the old certificate stays.
        """
        self._seen = look_at(self.tls)  # first: what changes while they are read is seen the next time
        self.context = server_context(self.tls)

    def renew(self) -> bool:
        """`reload` if the files have changed; tells whether they have.

        Raises:
            Unusable: As `reload`; the same files are not tried again.
        """
        if look_at(self.tls) == self._seen:
            return False
        self.reload()
        return True

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the files now and then, until `stop`."""
        self._timer = loop.call_later(LOOK_SECONDS, self._look_again, loop)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.watch(loop)
        try:
            is_new = self.renew()
        except Unusable as error:
            log.warning("the certificate stays as it was: %s", error)
        else:
            if is_new:
                log.info("new certificate from %s", self.tls.certificate)
