"""Why TLS failed, in words that say what to do next: OpenSSL's reasons, translated once.

The codes of a certificate's verification are those of OpenSSL's ``x509_vfy.h``; alerts are those of RFC 8446,
section 6.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from tomada.transports.certificates import has_truststore
from tomada.transports.identity import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

CUT_OFF: Final = "the peer closed without TLS close_notify: the end may have been cut off"
NO_TLS: Final = "the peer does not speak TLS: use a tcp:// address"
NO_ANSWER: Final = "the peer ended the connection instead of answering in TLS; if it speaks none, use a tcp:// address"
ENDED: Final = "the peer closed the connection during the handshake"
ALERT: Final = b"\x15\x03\x01\x00\x02\x02"
"""A fatal alert, but for its last byte, as it can be sent before anything is agreed on."""
UNEXPECTED_MESSAGE: Final = b"\x0a"
NO_APPLICATION_PROTOCOL: Final = b"\x78"

_EXPIRED, _NOT_YET, _SELF_SIGNED, _REVOKED = 10, 9, 18, 23
_UNKNOWN_AUTHORITY: Final = frozenset({2, 19, 20, 21})
_OTHER_HOST: Final = frozenset({62, 64})
_TRUST: Final = "tls=tomada.TLS(authority=…) or --tls-authority FILE"
_OWN: Final = "tls=tomada.TLS(certificate=…, key=…) or --tls-certificate FILE --tls-key FILE"

_REASONS: Final[Mapping[str, str]] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": f"the client has no certificate, and must have one here: {_OWN}",
    "UNSUPPORTED_PROTOCOL": "no version of TLS in common: this end speaks 1.2 and newer",
    "NO_SHARED_CIPHER": "no cipher in common: the peer offers none that this end's certificate and OpenSSL allow",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no signature algorithm in common: the peer cannot check this certificate",
    "WRONG_VERSION_NUMBER": "what came is no TLS",
    "HTTP_REQUEST": "what came is a plain HTTP request",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "a record of the peer was changed on its way",
    "DATA_LENGTH_TOO_LONG": "a record is longer than TLS allows",
    "ENCRYPTED_LENGTH_TOO_LONG": "a record is longer than TLS allows",
    "PACKET_LENGTH_TOO_LONG": "a record is longer than TLS allows",
}
_ALERTS: Final[Mapping[str, str]] = {
    "CERTIFICATE_REQUIRED": f"it wants a certificate of this end: {_OWN}",
    "UNKNOWN_CA": "it does not trust the authority of this end's certificate: give it that authority, or take another",
    "CERTIFICATE_EXPIRED": "this end's certificate has expired there: renew it, or check both clocks",
    "CERTIFICATE_REVOKED": "this end's certificate has been revoked: take a new one",
    "BAD_CERTIFICATE": "it does not accept this end's certificate; its log may say why",
    "CERTIFICATE_UNKNOWN": "it does not accept this end's certificate; its log may say why",
    "UNSUPPORTED_CERTIFICATE": "this end's certificate is of a kind that it cannot use",
    "PROTOCOL_VERSION": "no version of TLS in common: this end speaks 1.2 and newer",
    "HANDSHAKE_FAILURE": f"no cipher in common, or it wants a certificate of this end: {_OWN}",
    "NO_APPLICATION_PROTOCOL": "no application protocol (ALPN) in common",
    "UNRECOGNIZED_NAME": "it has no certificate for the name that was asked for",
    "UNEXPECTED_MESSAGE": "what this end sent was no TLS to it, or came out of order",
    "DECRYPT_ERROR": "a signature of this end could not be checked: do certificate and key belong together?",
}


def failure(error: ssl.SSLError, ssl_object: ssl.SSLObject | None, hostname: str, *, accepting: bool) -> str:
    """Why TLS failed, and what to do.

    Args:
        error: What OpenSSL raised.
        ssl_object: What it was raised by; the peer's certificate is read from it.
        hostname: The name that the peer was asked to have; empty at the accepting end.
        accepting: Whether this is the accepting end.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _verification(error, _certificate(ssl_object), hostname, accepting=accepting)
    reason = _reason(error)
    if reason in _REASONS:
        return _REASONS[reason]
    _, mark, alert = reason.partition("_ALERT_")
    if not mark and reason.startswith("TLSV1_"):
        alert = reason.removeprefix("TLSV1_")
    if alert:
        words = alert.lower().replace("_", " ")
        return f"the peer refused: {_ALERTS.get(alert, words)} (its TLS alert: {words})"
    return f"TLS failed: {reason.lower().replace('_', ' ') or error}"


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's own word for it; Python has not all of them in its table, and tells the others in the text only."""
    if error.reason:
        return error.reason
    text = str(error.args[-1]).partition("] ")[2].partition(" (_ssl")[0]
    return text.upper().replace(" ", "_")


def no_protocol(protocols: tuple[str, ...]) -> str:
    """Why a client goes away whose server has chosen none of its protocols."""
    return f"no application protocol (ALPN) in common: this end speaks {', '.join(protocols)}"


def _verification(
    error: ssl.SSLCertVerificationError, certificate: Mapping[str, Any], hostname: str, *, accepting: bool
) -> str:
    whose = "the client's certificate" if accepting else "the server's certificate"
    names = ", ".join(name.partition(":")[2] for name in names_of(certificate)) or "no name at all"
    other_host = f"is not for {hostname} but for {names}: connect by such a name, or have one made for {hostname}"
    unknown = f"comes from an authority that is not trusted here{_issuer(certificate)}; {_what_to_trust()}"
    why = {
        **dict.fromkeys(_OTHER_HOST, other_host),
        **dict.fromkeys(_UNKNOWN_AUTHORITY, unknown),
        _EXPIRED: f"has expired{_date(certificate, 'notAfter')}: renew it, or check this machine's clock",
        _NOT_YET: f"is not valid yet{_date(certificate, 'notBefore')}: check the clocks of both machines",
        _SELF_SIGNED: f"is self-signed, nobody vouches for it; if you trust it, name its file: {_TRUST}",
        _REVOKED: "has been revoked: it needs a new one",
    }
    return f"{whose} {why.get(error.verify_code, f'cannot be accepted: {error.verify_message}')}"


def _what_to_trust() -> str:
    way = f"if you trust it, name its file: {_TRUST}; or the peer does not send the certificates in between"
    return way if has_truststore() else f"{way}; to trust whom this system trusts: pip install 'tomada[tls]'"


def _issuer(certificate: Mapping[str, Any]) -> str:
    words = [value for part in certificate.get("issuer", ()) for _, value in part]
    return f" ({', '.join(words)})" if words else ""


def _date(certificate: Mapping[str, Any], which: str) -> str:
    return f" ({certificate[which]})" if which in certificate else ""


def _certificate(ssl_object: ssl.SSLObject | None) -> Mapping[str, Any]:
    """What the peer showed and was refused for. Python tells it only through a private door, so it may be missing."""
    try:
        chain = ssl_object._sslobj.get_unverified_chain()  # type: ignore[union-attr] # noqa: SLF001 - see above
        found: Mapping[str, Any] = chain[0].get_info()
    except (AttributeError, IndexError, TypeError, ValueError):
        return {}
    return found
