"""Who the other end is, as its certificate says and its authority vouches for."""

from __future__ import annotations

import hashlib
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from socket import AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

_KINDS: Final = {"DNS": "dns", "IP Address": "ip", "URI": "uri", "email": "email"}


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the other end of a TLS connection is: what stands in its certificate, once that has been verified.

    Attributes:
        common_name: The subject's common name; may be empty.
        names: The subject alternative names, each with its kind: ``dns:localhost``, ``ip:127.0.0.1``,
            ``uri:spiffe://bank/teller``, ``email:ana@example.org``. Compare with the kind: an authority may check one
            kind more carefully than another.
        issuer: The common name of the authority, or all of its name where it has none.
        serial: The certificate's number, in hexadecimal digits.
        not_after: When the certificate ends.
        fingerprint: The SHA-256 of the whole certificate, in hexadecimal digits.
    """

    common_name: str
    names: tuple[str, ...]
    issuer: str
    serial: str
    not_after: datetime
    fingerprint: str


def names_of(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """The alternative names of a certificate, as Python tells it, each with its kind."""
    names = certificate.get("subjectAltName", ())
    return tuple(f"{_KINDS[kind]}:{_shortest(value)}" for kind, value in names if kind in _KINDS)


def _shortest(value: str) -> str:
    """OpenSSL writes ``0:0:0:0:0:0:0:1``, and nobody else."""
    with suppress(OSError):
        return inet_ntop(AF_INET6, inet_pton(AF_INET6, value))
    return value


def identity_of(ssl_object: ssl.SSLObject | None) -> Identity | None:
    """Who is at the other end; ``None`` without a certificate, or where it was not verified."""
    certificate = ssl_object.getpeercert() if ssl_object is not None else None
    if ssl_object is None or not certificate:
        return None
    subject, issuer = _words(certificate, "subject"), _words(certificate, "issuer")
    return Identity(
        common_name=subject.get("commonName", ""),
        names=names_of(certificate),
        issuer=issuer.get("commonName") or ", ".join(issuer.values()),
        serial=str(certificate["serialNumber"]),
        not_after=datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC),
        fingerprint=hashlib.sha256(ssl_object.getpeercert(binary_form=True) or b"").hexdigest(),
    )


def identity(transport: asyncio.BaseTransport) -> Identity | None:
    """Who is at the other end of `transport`; ``None`` without TLS, or where it showed no certificate."""
    return identity_of(transport.get_extra_info("ssl_object"))


def _words(certificate: Mapping[str, Any], which: str) -> dict[str, str]:
    return {name: value for part in certificate.get(which, ()) for name, value in part}
