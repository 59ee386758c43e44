"""The colours, each for light and for dark, and the style sheet that is made of them."""

from __future__ import annotations

from enum import Enum
from typing import Final

from tomada.diagrams.model import Tone


class Theme(Enum):
    """For which background a picture is drawn."""

    AUTO = "auto"
    """For the viewer's: the picture follows the system's setting."""
    LIGHT = "light"
    DARK = "dark"


COLOURS: Final[dict[str, tuple[str, str]]] = {
    "paper": ("#ffffff", "#0f141a"),
    "panel": ("#f4f6f8", "#1a212a"),
    "edge": ("#d5dbe1", "#36404c"),
    "rule": ("#8a95a1", "#667382"),
    "ink": ("#1c2229", "#e4e9ee"),
    "muted": ("#5a6570", "#9aa5b1"),
    "data": ("#0b6b74", "#5cc8d4"),
    "wait": ("#8a5a00", "#e0b04c"),
    "waiting": ("#f6dfa8", "#5c4717"),
    "hit": ("#fff0a3", "#3d3306"),
    Tone.PLAIN.value: ("#1763c0", "#6cb0ff"),
    Tone.BEGIN.value: ("#17733a", "#4fc47a"),
    Tone.END.value: ("#5b5f8a", "#a9aede"),
    Tone.URGENT.value: ("#b3470a", "#ff9d5c"),
    Tone.REPEATED.value: ("#7a3fc4", "#c39bff"),
    Tone.CONTROL.value: ("#5a6570", "#9aa5b1"),
    Tone.FAILED.value: ("#c21f2b", "#ff8078"),
}
"""By name: on light paper, on dark paper.

What text is written in has a contrast of 4.5 at least, on paper and on panels.
"""

MONO: Final = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
SANS: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','Noto Sans','DejaVu Sans',Arial,sans-serif"

_FILLS: Final = {
    "ink": "ink",
    "call": "ink",
    "name": "ink",
    "result": "muted",
    "data": "data",
    "wait": "wait",
    "count": "ink",
    "state": "muted",
    "time": "muted",
    "gap": "muted",
    "faint": "muted",
    "title": "ink",
    "group": "ink",
    "note": "ink",
}
_REST: Final = """
.paper{%paper%}.panel{%panel%}.edge{%/edge%}.bar{%waiting%;%/wait%}
text{font:12px %mono%;white-space:pre}
.sans{font-family:%sans%}.h1{font-size:17px;font-weight:700}.small{font-size:10.5px}.strong{font-weight:700}.thin{font-weight:400}
.halo{%/paper%;stroke-width:3px;stroke-linejoin:round;paint-order:stroke}
.line{fill:none;%/edge%;stroke-width:1.25}.still{stroke-dasharray:2 4}
.arrow{fill:none;stroke-width:1.5}.later{stroke-dasharray:4 3}.above{stroke-dasharray:1 3}
.data{unicode-bidi:isolate}.count{font-weight:700}.failed .call,.failed .result{%failed%}
.on{%paper%}.moment .mark{%/paper%;stroke-width:1.5;paint-order:stroke}.volume{%rule%}
.box,.inner{fill:none;stroke-width:1.25;%/edge%}.box{%panel%}.box.visited,.inner.visited{%/begin%}.box.visited{stroke-width:1.75}
.box.current{%begin%;%/begin%}.inner.current{%/paper%}.name{%ink%;stroke:none}.name.idle{%muted%}.name.current{%paper%}
.run{fill:none;stroke-width:1.25}.way-none{%/rule%}.head.way-none{%rule%;stroke:none}.way-begin{%/begin%;stroke-width:2}
.head.way-begin{%begin%;stroke:none}.badge{%begin%}.order{%paper%;font-size:9px}
"""


def style_sheet(theme: Theme) -> str:
    """The style sheet of a picture.

    For `Theme.AUTO` each colour is a variable that dark systems change; before it stands the light one, for viewers
    that know no variables.
    """
    rules = [f".{name}{{%{colour}%}}" for name, colour in _FILLS.items()]
    rules += [
        f".tone-{tone.value}{{%{tone.value}%}}.arrow.tone-{tone.value}{{fill:none;%/{tone.value}%}}" for tone in Tone
    ]
    text = "".join(rules) + _REST.replace("\n", "").replace("%mono%", MONO).replace("%sans%", SANS)
    for name, (light, dark) in COLOURS.items():
        colour = dark if theme is Theme.DARK else light
        for place, property_ in ((f"%{name}%", "fill"), (f"%/{name}%", "stroke")):
            variable = f";{property_}:var(--{name})" if theme is Theme.AUTO else ""
            text = text.replace(place, f"{property_}:{colour}{variable}")
    return text + variables(".tomada") if theme is Theme.AUTO else text


def variables(selector: str) -> str:
    """The rules that give the colours to what `selector` means, and other ones on dark systems."""
    light = ";".join(f"--{name}:{colours[0]}" for name, colours in COLOURS.items())
    dark = ";".join(f"--{name}:{colours[1]}" for name, colours in COLOURS.items())
    return f"{selector}{{{light}}}@media (prefers-color-scheme:dark){{{selector}{{{dark}}}}}"
