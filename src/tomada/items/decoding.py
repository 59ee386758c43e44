"""What reads the items of one request; for both kinds of client, and for handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tomada import validation
from tomada.errors import InvalidMessage, MessageError

if TYPE_CHECKING:
    from collections.abc import Callable


class ItemDecoder:
    """Reads items, whichever type each is of.

    Args:
        find: What finds the decoder for a number of the peer's catalogue; raises `MessageError`.
        what: They are, for messages to people.
    """

    __slots__ = ("_decoders", "_find", "what")

    def __init__(self, find: Callable[[int], Callable[[bytes], Any]], what: str) -> None:
        self._find = find
        self.what = what
        """The items are."""
        self._decoders: dict[int, Callable[[bytes], Any]] = {}

    def __call__(self, type_: int, payload: bytes) -> Any:
        """The item. Raises `MessageError` where it does not fit its type."""
        decode: Any = self._decoders.get(type_)
        if decode is None:
            decode = self._decoders[type_] = self._find(type_)
        try:
            return decode(payload)
        except MessageError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a decoder or a class's own check raises
            text = validation.explain(decode.__self__.type, error)
            raise InvalidMessage(f"{self.what} does not fit: {text}") from None
