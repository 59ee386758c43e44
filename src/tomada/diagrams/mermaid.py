"""Drawings in Mermaid's language, which GitHub, GitLab and many editors draw.

Theory of operation: Mermaid's grammar has no quotation in labels. ``;`` ends a statement, ``#`` begins an entity,
``%%`` a comment, ``:`` a message in some places, and what looks like HTML is taken for HTML. But it knows entities
everywhere, as ``#59;``. So every character that is no letter, digit, blank or one of few signs that mean nothing to it
becomes an entity. Names in the code are our own, ``L0``, ``s3``; what was recorded stands in labels only. Mermaid draws
no more than some hundreds of arrows, and no text beyond 50,000 characters: what is too much is left out, and a note
says so.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from tomada.diagrams.amounts import count_text, duration_text, size_text
from tomada.diagrams.checking import check
from tomada.diagrams.cleaning import clean, cleaned, shorten, wrap
from tomada.diagrams.condense import condense
from tomada.diagrams.model import Sequence, StateDiagram, Tone
from tomada.diagrams.moments import Moment, Part, arrives, label_of, moments_of
from tomada.diagrams.picture import Picture, cut, summed_up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.diagrams.checking import Drawing
    from tomada.diagrams.model import Arrow, Timeline

MOST_STEPS: Final = 150
MOST_ROWS: Final = 60
LONGEST: Final = 70
"""Characters of a label, before they are escaped."""
MOST_CHARACTERS: Final = 48_000
"""Mermaid refuses 50,000."""
_ENOUGH_FOR_NOTES: Final = 12_000
"""Of those, where notes stand at the end."""
_PLAIN: Final = frozenset("_.,()[]=*+/?!'…→×·“”")


def label(text: str, most: int = LONGEST) -> str:
    """`text` as a label that Mermaid shows as it is, and never obeys."""
    short = shorten(clean(text), most)
    return "".join(each if _is_plain(each) else f"#{ord(each)};" for each in short) or "#8203;"


def _is_plain(character: str) -> bool:
    return character == " " or character in _PLAIN or (character.isascii() and character.isalnum())


def mermaid(drawing: Drawing) -> str:
    """The drawing in Mermaid's language: ``sequenceDiagram``, ``stateDiagram-v2`` or ``gantt``.

    Raises:
        DrawingError: The drawing does not fit together.
    """
    check(drawing)
    if isinstance(drawing, Sequence):
        return _sequence(drawing)
    return _states(drawing) if isinstance(drawing, StateDiagram) else _timeline(drawing)


def _title(title: str) -> list[str]:
    # In front matter, which is YAML, and with no sign that means something there or in HTML.
    short = shorten(clean(title), LONGEST)
    plain = "".join(each if each.isalnum() or each in " .,:()/_-…" else " " for each in short)
    return ["---", f'title: "{plain}"', "---"]


def _sequence(sequence: Sequence) -> str:
    most, sequence = MOST_STEPS, summed_up(sequence)
    while True:
        written = _sequence_of(cut(sequence, most))
        if len(written) <= MOST_CHARACTERS or most < 10:  # noqa: PLR2004 - of ten steps nothing is too long
            return written
        most //= 2


def _sequence_of(picture: Picture) -> str:
    sequence = picture.sequence
    lines = [*_title(sequence.title), "sequenceDiagram"]
    for group, lanes in picture.columns:
        # A box's colour comes first, and transparent is one: else the first word of a name could be taken for it.
        lines.append(f"    box transparent {label(group)}")
        for lane in lanes:
            known = sequence.lanes[lane]
            lines.append(f"        participant L{lane} as {label(f'{known.title} {known.detail}'.strip())}")
        lines.append("    end")
    first = sequence.lanes and picture.columns[0][1][0]
    arrows: dict[int, list[Arrow]] = {}
    for arrow in sequence.arrows:
        arrows.setdefault(arrow.target, []).append(arrow)
    lines += [line for moment in moments_of(sequence) for line in _moment(picture, moment, arrows)]
    lines += [f"    Note over L{first}: {label(note, 3 * LONGEST)}" for note in sequence.notes if sequence.lanes]
    return "\n".join(lines) + "\n"


def _moment(picture: Picture, moment: Moment, arrows: dict[int, list[Arrow]]) -> Iterable[str]:
    sequence = picture.sequence
    step = sequence.steps[moment.step]
    if moment.step == picture.cut and moment.part is not Part.END:
        yield f"    Note over L{step.lane}: {label(picture.missing)}"
    incoming = [arrow for arrow in arrows.get(moment.step, ()) if arrives(arrow, sequence.steps, moment.part)]
    for arrow in incoming:
        source = sequence.steps[arrow.source]
        sign = "--x" if Tone.FAILED in {arrow.tone, step.tone} else "-->>" if arrow.tone is Tone.CONTROL else "->>"
        words = [
            arrow.text,
            f"×{arrow.count:,}" if arrow.count > 1 else "",
            size_text(arrow.size) if arrow.size else "",
        ]
        text = " ".join(word for word in (*words, source.data) if word)
        yield f"    L{source.lane}{sign}L{step.lane}: {label(text)}"
    said = " ".join(bit.text for bit in label_of(step, moment.part, size=not incoming, data=not incoming))
    failed = "✗ " if step.tone is Tone.FAILED else ""
    yield f"    Note over L{step.lane}: {label(f'{duration_text(moment.at)} {failed}{said}')}"
    if moment.part is Part.BEGIN and step.ended is not None:
        yield f"    activate L{step.lane}"
    elif moment.part is Part.END:
        yield f"    deactivate L{step.lane}"


def _states(diagram: StateDiagram) -> str:
    diagram = cleaned(diagram)
    names = {place.name: f"s{number}" for number, place in enumerate(diagram.places)}
    lines = [*_title(diagram.title), "stateDiagram-v2"]
    lines += [f'    state "{label(place.name)}" as {names[place.name]}' for place in diagram.places]
    lines.append(f"    [*] --> {names[diagram.start]}")
    for move in diagram.transitions:
        words = [move.text, f"{move.order}." if move.order else "", f"×{move.taken:,}" if move.taken > 1 else ""]
        text = label(" ".join(word for word in (words[1], words[0], words[2]) if word))
        lines.append(f"    {names[move.source]} --> {names[move.target]}: {text}")
    lines += [f"    {names[place.name]} --> [*]" for place in diagram.places if place.is_final]
    visited = [names[place.name] for place in diagram.places if place.visits]
    lines.append("    classDef visited stroke-width:3px")
    lines += [f"    class {name} visited" for name in visited]
    for note in diagram.notes:
        lines.append(f"    note right of {names[diagram.start]}: {label(note, 3 * LONGEST)}")
    return "\n".join(lines) + "\n"


def _timeline(timeline: Timeline) -> str:
    shown = cleaned(condense(timeline, MOST_ROWS))
    axis = "%S.%L s" if shown.ended < 60 else "%s s"  # noqa: PLR2004 - %S begins anew with each minute
    lines = [*_title(timeline.title), "gantt", "    dateFormat x", f"    axisFormat {axis}"]
    tasks: list[str] = []
    group: str | None = None
    for row in shown.rows:
        if row.group != group:
            group = row.group
            tasks.append(f"    section {label(group)}")
        for span in row.spans:
            end = shown.ended if span.ended is None else span.ended
            kind = "crit, " if span.tone is Tone.FAILED else "active, " if span.ended is None else ""
            begin = round(max(0.0, span.begun) * 1e3)
            until = max(begin + 1, round(end * 1e3))
            tasks.append(_task(f"{row.title} {span.text}", f"{kind}t{len(tasks)}, {begin}, {until}"))
    notes = [*shown.notes, *_marks_left_out(shown)]
    kept = _that_fit(tasks, MOST_CHARACTERS - _ENOUGH_FOR_NOTES)
    if len(kept) < len(tasks):
        left_out = count_text(len(tasks) - len(kept), "line")
        notes.append(f"{left_out} left out: Mermaid takes no longer text. JSON lines (.jsonl) have all.")
    said = [_task(line, f"done, n{at}, 0, 1") for at, line in enumerate(_lines(notes))]
    if said:
        said = ["    section Notes", *_that_fit(said, _ENOUGH_FOR_NOTES - 1_000)]
    return "\n".join([*lines, *kept, *said]) + "\n"


def _task(name: str, what: str) -> str:
    """A line of a Gantt chart; what it begins with must not be a word of the language, as ``click`` is one."""
    name = clean(name).lstrip() or "-"
    return f"    #{ord(name[0])};{label(name[1:], LONGEST - 1)} :{what}"


def _lines(notes: Iterable[str]) -> list[str]:
    """A section without tasks is not drawn, so notes are tasks, too, and those have one line each."""
    return [line for note in notes for line in wrap(clean(note), LONGEST)]


def _marks_left_out(timeline: Timeline) -> list[str]:
    marks = sum(len(row.marks) for row in timeline.rows)
    return (
        [f"{count_text(marks, 'mark')} on the rows left out: Mermaid has none. SVG and text show them."]
        if marks
        else []
    )


def _that_fit(lines: list[str], most: int) -> list[str]:
    """The first of `lines`, as many as have `most` characters together."""
    ends = accumulate(len(line) + 1 for line in lines)
    return [line for line, end in zip(lines, ends, strict=True) if end <= most]
