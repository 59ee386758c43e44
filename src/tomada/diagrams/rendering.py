"""One entry for all forms: `render` by name, `write` by the suffix of a file."""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Final

from tomada.diagrams.checking import Drawing, check
from tomada.diagrams.errors import DrawingError

_RENDERERS: Final = {
    "svg": ("tomada.diagrams.svg", "drawing_svg"),
    "png": ("tomada.diagrams.png", "png"),
    "mmd": ("tomada.diagrams.mermaid", "mermaid"),
    "html": ("tomada.diagrams.page", "page"),
    "jsonl": ("tomada.diagrams.lines", "json_lines"),
    "txt": ("tomada.diagrams.text", "drawing_text"),
}
"""Who draws each form: only what is asked for is loaded."""
FORMS: Final = tuple(_RENDERERS)
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
    module, function = _RENDERERS[name]
    rendered: str | bytes = getattr(import_module(module), function)(drawing)
    return rendered


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
