"""TLS on a blocking socket, for threads: what of a socket's interface the blocking face uses.

Not Python's own ``SSLSocket``: there one thread must not send while another receives, and it knows no flags.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Final, NoReturn

from tomada.errors import ConnectFailed, ConnectionLost, HandshakeFailed
from tomada.transports.readiness import AT_ONCE
from tomada.transports.tls import errors as tls_errors
from tomada.transports.tls.layer import RECORD_BYTES, foreign

if TYPE_CHECKING:
    import socket

    from tomada.transports.tls.layer import Terms

_READ_BYTES: Final = 65_536
_PORTION: Final = 65_536
_UNSENT_ANSWERS: Final = 65_536


class TLSSocket:
    """A connected socket with TLS, at the connecting end. One thread may send while another receives.

    Two locks, taken in this order: `_wire`, so that records go out in the order in which they were encrypted;
    `_crypt`, for the moments in which OpenSSL works. Receiving waits without either.

    Args:
        connected: The socket, which is this one's from here on.
        terms: How this end speaks TLS.
    """

    __slots__ = (
        "_covered",
        "_crypt",
        "_ended",
        "_heard",
        "_incoming",
        "_outgoing",
        "_shut",
        "_socket",
        "_terms",
        "_unsent",
        "_wire",
        "ssl_object",
    )

    def __init__(self, connected: socket.socket, terms: Terms) -> None:
        self._socket = connected
        self._terms = terms
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl_object = terms.context.wrap_bio(self._incoming, self._outgoing, server_hostname=terms.hostname)
        self._wire, self._crypt = Lock(), Lock()
        self._unsent = memoryview(b"")
        """Encrypted, and not yet taken by the kernel."""
        self._covered = 0
        """How much of what was to be sent is in `_unsent`."""
        self._heard = self._ended = self._shut = False

    def shake(self, seconds: float) -> None:
        """Complete the handshake within so many seconds; single bytes do not renew them.

        Raises `HandshakeFailed`, and `ConnectFailed` where the server goes away without a word.
        """
        give_up = time.monotonic() + seconds
        try:
            while not self._step():
                # Never 0, which would mean not to wait at all.
                self._socket.settimeout(max(1e-6, give_up - time.monotonic()))
                self._feed(self._socket.recv(_READ_BYTES))
            self._socket.settimeout(None)
        except ConnectFailed:
            raise
        except TimeoutError:
            raise HandshakeFailed(f"no handshake within {seconds:g} s") from None
        except OSError as error:
            self._end_of_input(f" ({error})")
        if self._terms.protocols and not self.ssl_object.selected_alpn_protocol():
            raise HandshakeFailed(tls_errors.no_protocol(self._terms.protocols))
        self._heard = False

    def getsockname(self) -> object:
        """Of the socket below, as the system tells it."""
        return self._socket.getsockname()

    def _step(self) -> bool:
        done = True
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            done = False
        except ssl.SSLError as error:
            with suppress(OSError):  # the alert; who does not take it is told nothing
                self._socket.sendall(self._outgoing.read())
            raise HandshakeFailed(self._why(error)) from error
        self._socket.sendall(self._outgoing.read())
        return done

    def _feed(self, data: bytes) -> None:
        if not data:
            self._end_of_input()
        if not self._heard:
            strange = foreign(data, accepting=False)
            if strange:
                raise HandshakeFailed(strange)
        self._heard = True
        self._incoming.write(data)

    def _end_of_input(self, how: str = "") -> NoReturn:
        """A server that is being stopped may take a connection and drop it without a word."""
        if self._heard:
            raise HandshakeFailed(tls_errors.ENDED + how)
        raise ConnectFailed(tls_errors.NO_ANSWER + how)

    def _why(self, error: ssl.SSLError) -> str:
        return tls_errors.failure(error, self.ssl_object, self._terms.hostname, accepting=False)

    def recv(self, most: int, flags: int = 0) -> bytes:
        """What has come, decrypted, all of it: nothing stays behind that the system would not tell of.

        That may be a little more than ``most``. Raises `ConnectionLost` where the end may have been cut off, and
        `HandshakeFailed` where the server refuses this end's certificate, which with TLS 1.3 it does only now.
        """
        while not self._ended:
            data = self._socket.recv(most, flags)
            if not data:
                if self._shut:
                    break
                raise ConnectionLost(tls_errors.CUT_OFF)
            with self._crypt:
                plain = self._decrypt(data)
            if plain:
                return plain
        return b""

    def _decrypt(self, data: bytes) -> bytes:
        self._incoming.write(data)
        pieces = []
        try:
            while self._incoming.pending and not self._ended:
                piece = self.ssl_object.read(RECORD_BYTES)
                self._ended = not piece
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            why = self._why(error)
            raise (ConnectionLost(why) if self._heard else HandshakeFailed(why)) from error
        if self._outgoing.pending > _UNSENT_ANSWERS:  # what TLS itself has to say goes with what is sent next
            raise ConnectionLost("the server makes TLS answer again and again, and sends nothing else")
        self._heard |= bool(pieces)
        return b"".join(pieces)

    def send(self, data: memoryview, flags: int = 0) -> int:
        """How much of ``data`` has gone to the kernel.

        Where the kernel does not take all that was encrypted, nothing of it counts as sent: raises `BlockingIOError`,
        and the same data must be given again.
        """
        with self._wire:
            if not self._unsent:
                with self._crypt:
                    self._encrypt(data[:_PORTION])
            self._unsent = self._unsent[self._socket.send(self._unsent, flags) :]
            if self._unsent:
                raise BlockingIOError
            covered, self._covered = self._covered, 0
            return covered

    def _encrypt(self, data: memoryview) -> None:
        try:
            self._covered = self.ssl_object.write(data)
        except ssl.SSLError as error:
            raise ConnectionLost(self._why(error)) from error
        self._unsent = memoryview(self._outgoing.read())

    def fileno(self) -> int:
        """Its number, to wait for."""
        return self._socket.fileno()

    def shutdown(self, how: int) -> None:
        """Say close_notify, if that can be said at once, and wake all who wait."""
        self._shut = True
        if self._wire.acquire(blocking=False):
            try:
                if not self._unsent:
                    self._say_end()
            finally:
                self._wire.release()
        self._socket.shutdown(how)

    def _say_end(self) -> None:
        with self._crypt, suppress(ssl.SSLError):  # it would wait for the peer's, which may never come
            self.ssl_object.unwrap()
        with suppress(OSError):
            self._socket.send(self._outgoing.read(), AT_ONCE)

    def close(self) -> None:
        """Give its number back."""
        self._socket.close()
