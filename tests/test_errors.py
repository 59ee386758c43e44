from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
import pytest

import tomada
from tomada import errors
from tomada.errors import DeclarationError, InternalError, RemoteError, TomadaError


class Overdrawn(RemoteError):
    limit: ClassVar[int] = 3
    balance: int
    note: str = "none"


class Frozen(Overdrawn):
    since: int = 4


class Closed(RemoteError):
    pass


class Lists(RemoteError):
    names: list[str] = []


def tree_of_the_docstring() -> Iterator[tuple[str, str | None]]:
    """Each name with its parent's."""
    assert errors.__doc__ is not None
    parents: list[str] = []
    for line in errors.__doc__.splitlines():
        words = line.strip().lstrip("├─│└ ").split()
        if words and words[0].isidentifier() and isinstance(getattr(errors, words[0], None), type):
            depth = (line.index(words[0]) - 4) // 4
            parents[depth:] = [words[0]]
            yield words[0], parents[depth - 1] if depth else None


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    written = dict(tree_of_the_docstring())
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TomadaError)]
    real = {kind.__name__: None if kind is TomadaError else kind.__bases__[0].__name__ for kind in classes}

    assert written == real


def test_what_the_docstring_says_an_error_also_is() -> None:
    assert errors.__doc__ is not None
    also = {
        "AddressError": ValueError,
        "DeclarationError": TypeError,
        "TransportError": OSError,
        "ConnectionLost": ConnectionError,
        "TimedOut": TimeoutError,
        "DatagramError": ValueError,
        "MessageError": ValueError,
    }
    for name, builtin in also.items():
        assert issubclass(getattr(errors, name), builtin)
        assert f"(also a {builtin.__name__})" in errors.__doc__ or f"(also an {builtin.__name__})" in errors.__doc__


def test_every_error_is_public_and_has_a_docstring() -> None:
    for name, _ in tree_of_the_docstring():
        assert getattr(tomada, name) is getattr(errors, name)
        assert getattr(errors, name).__doc__


def test_fields_by_place_by_name_and_by_default() -> None:
    assert Overdrawn(5).balance == Overdrawn(balance=5).balance == 5
    assert Overdrawn(5).note == "none"
    assert Frozen(5, "x").since == 4
    assert (Overdrawn.limit, Overdrawn(1).limit) == (3, 3)


def test_the_fields_of_an_error_are_those_of_its_bases_and_its_own() -> None:
    assert Frozen.payload_class().__struct_fields__ == ("balance", "note", "since")
    assert Frozen(1, "y", 2).payload() == Frozen.payload_class()(1, "y", 2)
    assert Overdrawn.payload_class() is Overdrawn.payload_class()


def test_a_default_is_nobody_else_s() -> None:
    Lists().names.append("x")

    assert Lists().names == []


@pytest.mark.parametrize(
    ("error", "text", "representation"),
    [
        (Overdrawn(5), "Overdrawn: balance=5, note='none'", "Overdrawn(balance=5, note='none')"),
        (Closed(), "Closed", "Closed()"),
        (RemoteError("Boom", "it broke"), "Boom: it broke", "RemoteError('Boom', 'it broke')"),
        (RemoteError("Boom"), "Boom", "RemoteError('Boom', '')"),
        (InternalError("Boom", "told"), "Boom: told", "InternalError('Boom', 'told')"),
    ],
)
def test_text(error: RemoteError, text: str, representation: str) -> None:
    assert str(error) == text
    assert repr(error) == representation


@pytest.mark.parametrize("error", [Frozen(1, "y", since=9), Closed(), RemoteError("a", "b"), InternalError("a", "b")])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301 - our own
def test_copies(error: RemoteError, copied: Any) -> None:
    error.add_note("noted")
    other = copied(error)

    assert type(other) is type(error)
    assert (str(other), repr(other), vars(other)) == (str(error), repr(error), vars(error))


@pytest.mark.parametrize(("places", "names"), [((), {}), ((1, "x", 3), {}), ((1,), {"wrong": 2})])
def test_a_wrong_call(places: tuple[Any, ...], names: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Overdrawn(*places, **names)


def test_an_init_of_its_own_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"^Own has an __init__ of its own, which cannot travel: declare what"):

        class Own(RemoteError):
            def __init__(self) -> None:
                pass


def test_a_required_field_after_a_default_is_refused() -> None:
    class Late(Overdrawn):
        required: int  # type: ignore[misc] # which is the case

    with pytest.raises(DeclarationError, match=r"^the fields of Late cannot travel: Required field 'required' cannot"):
        Late.payload_class()


@pytest.mark.parametrize("name", ["name", "message", "args", "payload", "with_traceback"])
def test_a_name_that_every_error_has_is_refused(name: str) -> None:
    kind: Any = type("Taken", (RemoteError,), {"__annotations__": {name: str}})

    with pytest.raises(DeclarationError, match=f"^the fields of Taken cannot travel: every error has a {name} of ano"):
        kind.payload_class()


def test_a_type_that_is_not_there_is_refused() -> None:
    class Lost(RemoteError):
        where: Nowhere  # type: ignore[name-defined] # noqa: F821 - which is the case

    with pytest.raises(DeclarationError, match=r"^the fields of Lost cannot travel: name 'Nowhere' is not defined"):
        Lost.payload_class()


@pytest.mark.parametrize("kind", [RemoteError, InternalError])
def test_those_without_fields_have_no_payload(kind: type[RemoteError]) -> None:
    with pytest.raises(DeclarationError, match=f"^{kind.__name__} travels by name and text, it has no fields$"):
        kind.payload_class()
    assert kind.payload_type is None


def test_payloads_are_arrays() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(Overdrawn(5).payload())) == [5, "none"]
