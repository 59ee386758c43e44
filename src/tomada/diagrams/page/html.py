"""The HTML file: nothing in it comes from elsewhere, and its policy lets nothing else in.

Labels are text that others wrote. In the SVG they are escaped; the script reads and writes them as text only. Should
both fail, the policy still runs no script but the one whose digest it names.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tomada.diagrams.checking import check
from tomada.diagrams.cleaning import clean
from tomada.diagrams.model import Sequence
from tomada.diagrams.picture import picture_of
from tomada.diagrams.svg import drawing_svg
from tomada.diagrams.svg.palette import MONO, SANS, Theme, style_sheet, variables
from tomada.diagrams.svg.sequence import picture_svg

if TYPE_CHECKING:
    from tomada.diagrams.checking import Drawing
    from tomada.diagrams.picture import Picture

_FOLDER: Final = Path(__file__).parent

_HTML: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1 title="{title}">{title}</h1>
<div class="set" role="search">
<input type="search" id="sought" placeholder="Search" aria-label="Search in the picture" title="Key: /">
<button id="earlier" aria-label="Hit before" title="Hit before: N">↑</button>
<button id="later" aria-label="Next hit" title="Next hit: n">↓</button>
<output id="count" aria-live="polite"></output>
</div>
{lanes}<div class="set" role="group" aria-label="Zoom">
<button id="farther" aria-label="Smaller" title="Smaller: -">&minus;</button>
<output id="percent">100 %</output>
<button id="nearer" aria-label="Larger" title="Larger: +">+</button>
<button id="fit" title="As wide as the window: f">Fit</button>
</div>
</header>
<main tabindex="0" aria-label="The picture">
{picture}</main>
<aside hidden aria-live="polite" aria-label="Details">
<button class="close" id="shut" aria-label="Close" title="Close: Escape">✕</button>
<div id="told"></div>
<p class="keys"><kbd>j</kbd> <kbd>k</kbd> next and before</p>
</aside>
<script type="module">{script}</script>
</body>
</html>
"""


def page(drawing: Drawing) -> str:
    """The drawing as an HTML file.

    Raises:
        DrawingError: The drawing does not fit together.
    """
    picture, lanes = _picture(drawing)
    style, script = _style(), (_FOLDER / "page.js").read_text(encoding="utf-8")
    styles = " ".join(map(_digest, (style, style_sheet(Theme.AUTO))))
    policy = (
        f"default-src 'none'; style-src {styles}; script-src {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    return _HTML.format(
        policy=policy,
        title=escape(clean(drawing.title)),
        style=style,
        lanes=lanes,
        picture=picture.replace('role="img"', 'role="group"', 1),
        script=script,
    )


def _picture(drawing: Drawing) -> tuple[str, str]:
    """The SVG, and of sequences the list of their lanes."""
    if not isinstance(drawing, Sequence):
        return drawing_svg(drawing), ""
    check(drawing)
    shown = picture_of(drawing)
    return picture_svg(drawing, shown), _lanes(shown)


def _style() -> str:
    sheet = (_FOLDER / "page.css").read_text(encoding="utf-8").replace("%sans%", SANS).replace("%mono%", MONO)
    return f"{variables(':root')}\n{sheet}"


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _lanes(shown: Picture) -> str:
    names = shown.sequence.lanes
    boxes = [
        f'<label><input type="checkbox" value="{lane}" checked>{escape(f"{group} · {names[lane].title}")}</label>'
        for group, lanes in shown.columns
        for lane in lanes
    ]
    return (
        f'<details><summary>Lanes</summary><fieldset aria-label="Lanes to show">{"".join(boxes)}</fieldset></details>'
    )
