"""One entry for all forms: `render` by name, `write` by the suffix of a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tomada.diagrams.checking import Drawing, check
from tomada.diagrams.errors import DrawingError
from tomada.diagrams.model import Sequence, StateDiagram

if TYPE_CHECKING:
    from collections.abc import Callable

FORMS: Final = ("svg", "png", "mmd", "html", "jsonl", "txt")
"""What a drawing can become; also the suffixes of files."""


def render(drawing: Drawing, form: str) -> str | bytes:
    """`drawing` in one of the `FORMS`: bytes for ``png``, else text.

    Raises:
        DrawingError: There is no such form, or the drawing does not fit together.
        MissingLibrary: ``png`` needs ``tomada[diagrams]``.
    """
    name = form.lower().removeprefix(".")
    if name not in _RENDERERS:
        raise DrawingError(f"there is no form {form!r}: take one of {', '.join(FORMS)}")
    check(drawing)
    return _RENDERERS[name](drawing)


def write(drawing: Drawing, path: str | os.PathLike[str]) -> None:
    """Write `drawing` to a file, in the form that its suffix names.

    The file is there as a whole or not at all: whoever looks at it while it is written anew sees the one before.

    Raises:
        DrawingError: The suffix names no form, or the drawing does not fit together.
        MissingLibrary: ``.png`` needs ``tomada[diagrams]``.
        OSError: The file cannot be written.
    """
    target = Path(path)
    rendered = render(drawing, form_of(target))
    content = rendered if isinstance(rendered, bytes) else rendered.encode()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def form_of(path: Path) -> str:
    """The form that the suffix of `path` names.

    Raises:
        DrawingError: It names none.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in _RENDERERS:
        suffixes = ", ".join(f".{name}" for name in FORMS)
        raise DrawingError(f"{path.name!r} does not say in which form to draw: end it with one of {suffixes}")
    return form


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _svg(drawing: Drawing) -> str:
    from tomada.diagrams import svg  # noqa: PLC0415 - only what is asked for

    if isinstance(drawing, Sequence):
        return svg.sequence_svg(drawing)
    return svg.states_svg(drawing) if isinstance(drawing, StateDiagram) else svg.timeline_svg(drawing)


def _png(drawing: Drawing) -> bytes:
    from tomada.diagrams.png import png  # noqa: PLC0415 - only what is asked for

    return png(drawing)


def _mmd(drawing: Drawing) -> str:
    from tomada.diagrams.mermaid import mermaid  # noqa: PLC0415 - only what is asked for

    return mermaid(drawing)


def _html(drawing: Drawing) -> str:
    from tomada.diagrams.page import page  # noqa: PLC0415 - only what is asked for

    return page(drawing)


def _jsonl(drawing: Drawing) -> str:
    from tomada.diagrams.lines import json_lines  # noqa: PLC0415 - only what is asked for

    return json_lines(drawing)


def _txt(drawing: Drawing) -> str:
    from tomada.diagrams import text  # noqa: PLC0415 - only what is asked for

    if isinstance(drawing, Sequence):
        return text.sequence_text(drawing)
    return text.states_text(drawing) if isinstance(drawing, StateDiagram) else text.timeline_text(drawing)


_RENDERERS: Final[dict[str, Callable[[Drawing], str | bytes]]] = {
    "svg": _svg,
    "png": _png,
    "mmd": _mmd,
    "html": _html,
    "jsonl": _jsonl,
    "txt": _txt,
}
