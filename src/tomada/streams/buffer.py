"""What has come and has not been taken: bytes in, pieces out. No I/O."""

from __future__ import annotations

from tomada.errors import LimitExceeded


class ReceiveBuffer:
    """The received bytes of one stream, in order.

    A chunk that is taken as it came is never copied. A long piece may come byte by byte at no more cost: what has been
    searched for a separator is not searched again.
    """

    __slots__ = ("_chunk", "_rest", "_searched", "_start", "size")

    def __init__(self) -> None:
        self.size = 0
        """How many bytes there are."""
        # All is either in the one chunk, as it came, from the start on, or in the rest.
        self._chunk = b""
        self._start = 0
        self._rest = bytearray()
        self._searched = 0

    def append(self, data: bytes) -> None:
        """Keep `data`, which has come after all that is here."""
        if self.size:
            self._join()
            self._rest += data
        else:
            self._chunk = data
        self.size += len(data)

    def take(self, most: int) -> bytes:
        """The first bytes, `most` of them where there are so many. Raises `ValueError` for less than none."""
        if most < 0:
            raise ValueError(f"{most} bytes cannot be received: ask for some, or for none")
        chunk, start = self._chunk, self._start
        if not chunk:
            taken = bytes(memoryview(self._rest)[:most])
            self._drop(len(taken))
            return taken
        if self.size <= most:
            self._chunk = b""
            self.size = self._start = 0
            return chunk[start:] if start else chunk
        self._start = start + most
        self.size -= most
        return chunk[start : start + most]

    def take_all(self) -> bytes:
        """All that is here."""
        chunk = self._chunk
        if not chunk or self._start:
            return self.take(self.size)
        self._chunk = b""
        self.size = 0
        return chunk

    def peek(self, count: int) -> bytes:
        """The first `count` bytes, which stay."""
        self._join()
        return bytes(memoryview(self._rest)[:count])

    def take_until(self, separator: bytes, limit: int) -> bytes | None:
        """The bytes before the first `separator`, which is dropped; ``None`` where it has not come.

        Raises:
            LimitExceeded: There is no separator in the first `limit` bytes and the separator's own length.
        """
        self._join()
        at = self._rest.find(separator, self._searched, limit + len(separator))
        if at >= 0:
            taken = bytes(memoryview(self._rest)[:at])
            self._drop(at + len(separator))
            return taken
        if self.size >= limit + len(separator):
            raise LimitExceeded(f"{limit} bytes came without the separator {separator!r}")
        self._searched = max(0, self.size - len(separator) + 1)
        return None

    def clear(self) -> None:
        """Forget all."""
        self._chunk = b""
        self._rest = bytearray()
        self._searched = self._start = self.size = 0

    def _join(self) -> None:
        if self._chunk:
            self._rest += memoryview(self._chunk)[self._start :]
            self._chunk = b""
            self._start = 0

    def _drop(self, count: int) -> None:
        del self._rest[:count]
        self.size -= count
        self._searched = 0
