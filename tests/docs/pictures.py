"""The pictures of `docs/how-to/diagrams.md`, drawn of what the tests of the diagrams draw.

``python -m tests.docs.pictures`` writes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.diagrams import scenes
from tomada.diagrams import Told, render, state_diagram_of
from tomada.protocol import Role, State
from tomada.protocol.state import FINAL, TRANSITIONS, Step

if TYPE_CHECKING:
    from tomada.diagrams import StateDiagram
    from tomada.diagrams.checking import Drawing

FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"
DOCUMENT: Final = FOLDER.parent / "how-to" / "diagrams.md"
_AGAIN: Final = (Step.LOSE, Step.SEND_HELLO, Step.RECEIVE_WELCOME)
_PATH: Final = (Step.SEND_HELLO, Step.RECEIVE_WELCOME, *_AGAIN, *_AGAIN, Step.SEND_GOODBYE, Step.RECEIVE_GOODBYE)


def session() -> StateDiagram:
    """The connecting end of a session that was lost twice, and ended in order."""
    told = Told(title="A session that was lost twice")
    return state_diagram_of(TRANSITIONS[Role.CONNECTING], State.STARTING, _PATH, finals=FINAL, told=told)


def drawn() -> dict[str, Drawing]:
    """Each picture's drawing, by its name."""
    return {
        "echo": scenes.echo(),
        "folded": scenes.busy(),
        "session": session(),
        "timeline": scenes.connections(),
    }


def pictures() -> dict[str, str]:
    """Each picture's file, by its name."""
    return {name: str(render(drawing, "svg")) for name, drawing in drawn().items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pictures().items():
        (FOLDER / f"{name}.svg").write_text(text)
