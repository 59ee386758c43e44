"""Drawings as recordings give them: of the programs of every socket course, of a forking server, of what goes wrong."""

from __future__ import annotations

from enum import Enum

import msgspec

from tomada.diagrams import (
    Arrow,
    Lane,
    Mark,
    Place,
    Row,
    Sequence,
    Span,
    StateDiagram,
    Step,
    Timeline,
    Tone,
    Transition,
)
from tomada.diagrams.paths import Told, state_diagram_of


def echo() -> Sequence:
    """A TCP server and its client, five bytes there and back."""
    server, client = "server.py (4711)", "client.py (4712)"
    lanes = (
        Lane(group=server, title="TCP 127.0.0.1:4477", detail="socket 1"),
        Lane(group=server, title="TCP …:4477 ← …:50312", detail="socket 2, accepted"),
        Lane(group=client, title="TCP 127.0.0.1:50312", detail="socket 1"),
    )
    steps = (
        Step(lane=0, begun=0.0, ended=0.00002, text="socket(AF_INET, SOCK_STREAM)", state="created", tone=Tone.BEGIN),
        Step(lane=0, begun=0.0001, ended=0.00011, text="bind(('127.0.0.1', 4477))", state="bound"),
        Step(lane=0, begun=0.00015, ended=0.00016, text="listen(5)", state="listening", tone=Tone.BEGIN),
        Step(
            lane=0,
            begun=0.0002,
            ended=0.5013,
            text="accept()",
            result="from ('127.0.0.1', 50312)",
            is_blocked=True,
            tone=Tone.BEGIN,
        ),
        Step(
            lane=2, begun=0.5010, ended=0.50102, text="socket(AF_INET, SOCK_STREAM)", state="created", tone=Tone.BEGIN
        ),
        Step(
            lane=2, begun=0.5011, ended=0.5012, text="connect(('127.0.0.1', 4477))", state="connected", tone=Tone.BEGIN
        ),
        Step(
            lane=1,
            begun=0.5014,
            ended=1.7021,
            text="recv(1024)",
            result="5 bytes",
            data="hello",
            size=5,
            is_blocked=True,
            state="connected",
        ),
        Step(lane=2, begun=1.7020, ended=1.70203, text="sendall(5 bytes)", data="hello", size=5),
        Step(
            lane=2,
            begun=1.7021,
            ended=1.7026,
            text="recv(1024)",
            result="5 bytes",
            data="HELLO",
            size=5,
            is_blocked=True,
        ),
        Step(lane=1, begun=1.7025, ended=1.70252, text="sendall(5 bytes)", data="HELLO", size=5),
        Step(
            lane=1,
            begun=1.7027,
            ended=1.7040,
            text="recv(1024)",
            result="0 bytes: the other end has closed",
            is_blocked=True,
            state="peer closed",
        ),
        Step(lane=2, begun=1.7038, ended=1.70382, text="close()", state="closed", tone=Tone.END),
        Step(lane=1, begun=1.7042, ended=1.70422, text="close()", state="closed", tone=Tone.END),
        Step(lane=0, begun=1.7045, ended=1.70452, text="close()", state="closed", tone=Tone.END),
    )
    arrows = (
        Arrow(source=5, target=3, text="connects", tone=Tone.BEGIN),
        Arrow(source=7, target=6, size=5),
        Arrow(source=9, target=8, size=5),
        Arrow(source=11, target=10, text="end", tone=Tone.END),
    )
    return Sequence(title="server.py with client.py", lanes=lanes, steps=steps, arrows=arrows)


def refused() -> Sequence:
    """A client whom nobody hears."""
    lanes = (Lane(group="client.py (4712)", title="TCP", detail="socket 1"),)
    steps = (
        Step(lane=0, begun=0.0, ended=0.00002, text="socket(AF_INET, SOCK_STREAM)", state="created", tone=Tone.BEGIN),
        Step(
            lane=0,
            begun=0.001,
            ended=0.0012,
            text="connect(('127.0.0.1', 9))",
            tone=Tone.FAILED,
            result="ConnectionRefusedError: [Errno 111] Connection refused",
        ),
        Step(lane=0, begun=0.0013, ended=0.00131, text="close()", state="closed", tone=Tone.END),
    )
    notes = ("uvloop is loaded: what its sockets do does not pass through Python's, and is not seen here.",)
    return Sequence(title="client.py", lanes=lanes, steps=steps, notes=notes)


def forking(clients: int = 4) -> Sequence:
    """A server that forks for each client; all answers wait in the clients' buffers for a while."""
    lanes = [Lane(group="fork_server.py (100)", title="TCP 0.0.0.0:4477", detail="socket 1")]
    steps: list[Step] = [Step(lane=0, begun=0.0, ended=0.0001, text="listen(128)", state="listening", tone=Tone.BEGIN)]
    arrows: list[Arrow] = []
    for number in range(clients):
        begin = 0.01 + number * 0.0313
        child, client = len(lanes), len(lanes) + 1
        port = 50_000 + number
        lanes.append(Lane(group=f"fork_server.py ({101 + number})", title=f"TCP …:4477 ← …:{port}", detail="inherited"))
        lanes.append(Lane(group="client.py (90)", title=f"TCP 127.0.0.1:{port}", detail=f"socket {number + 1}"))
        first = len(steps)
        peer = f"('127.0.0.1', {port})"
        steps += [
            Step(
                lane=0,
                begun=begin - 0.005,
                ended=begin + 0.0002,
                text="accept()",
                result=f"from {peer}",
                is_blocked=True,
            ),
            Step(
                lane=client,
                begun=begin,
                ended=begin + 0.0001,
                text="connect(('127.0.0.1', 4477))",
                tone=Tone.BEGIN,
                state="connected",
            ),
            Step(
                lane=client,
                begun=begin + 0.001,
                ended=begin + 0.0011,
                text="sendall(12 bytes)",
                size=12,
                data="GET / HTTP/1",
            ),
            Step(
                lane=child,
                begun=begin + 0.02,
                ended=begin + 0.0201,
                text="recv(4096)",
                result="12 bytes",
                size=12,
                data="GET / HTTP/1",
                state="connected",
            ),
            Step(
                lane=child,
                begun=begin + 0.03,
                ended=begin + 0.0301,
                text="sendall(2048 bytes)",
                size=2048,
                data="HTTP/1.0 200 OK\r\n",
            ),
            Step(
                lane=client,
                begun=begin + 0.0025,
                ended=begin + 0.0303,
                text="recv(65536)",
                result="2,048 bytes",
                size=2048,
                is_blocked=True,
            ),
        ]
        arrows += [
            Arrow(source=first + 1, target=first, text="connects", tone=Tone.BEGIN),
            Arrow(source=first + 2, target=first + 3, size=12),
            Arrow(source=first + 4, target=first + 5, size=2048),
        ]
    return in_order(Sequence(title="A forking server", lanes=tuple(lanes), steps=tuple(steps), arrows=tuple(arrows)))


def in_order(sequence: Sequence) -> Sequence:
    """The same with its steps by the time they began."""
    order = sorted(range(len(sequence.steps)), key=lambda index: sequence.steps[index].begun)
    place = {old: new for new, old in enumerate(order)}
    return Sequence(
        title=sequence.title,
        lanes=sequence.lanes,
        steps=tuple(sequence.steps[index] for index in order),
        arrows=tuple(
            Arrow(
                source=place[arrow.source],
                target=place[arrow.target],
                text=arrow.text,
                size=arrow.size,
                tone=arrow.tone,
            )
            for arrow in sequence.arrows
        ),
        notes=sequence.notes,
    )


def busy(messages: int = 10_000) -> Sequence:
    """Two ends that say the same to each other over and over, then one that fails."""
    lanes = (
        Lane(group="bank (1)", title="server", detail="session 7"),
        Lane(group="teller (2)", title="client", detail=""),
    )
    steps = [Step(lane=1, begun=0.0, ended=0.0001, text="hello", tone=Tone.BEGIN, state="open")]
    arrows: list[Arrow] = []
    for number in range(messages):
        begin = 0.001 + number * 0.0005
        first = len(steps)
        steps += [
            Step(lane=1, begun=begin, ended=begin, text="Transfer", size=30 + number % 7, data=f"#{number}"),
            Step(lane=0, begun=begin + 0.0001, ended=begin + 0.0001, text="Transfer", size=30 + number % 7),
            Step(lane=0, begun=begin + 0.0002, ended=begin + 0.0002, text="reply to Transfer", size=9),
            Step(lane=1, begun=begin + 0.0003, ended=begin + 0.0003, text="reply to Transfer", size=9),
        ]
        arrows += [
            Arrow(source=first, target=first + 1, text="Transfer", size=30 + number % 7),
            Arrow(source=first + 2, target=first + 3, text="reply", size=9),
        ]
    end = 0.01 + messages * 0.0005
    steps += [
        Step(lane=1, begun=end, ended=end, text="lost", result="ConnectionResetError", tone=Tone.FAILED, state="lost"),
        Step(lane=1, begun=end + 0.3, ended=end + 0.3, text="resume", tone=Tone.BEGIN, state="open"),
        Step(lane=1, begun=end + 0.31, ended=end + 0.31, text="Transfer", tone=Tone.REPEATED, size=33),
        Step(lane=0, begun=end + 0.32, ended=end + 0.32, text="Transfer", size=33),
        Step(lane=1, begun=end + 0.33, ended=None, text="Balance", size=12, is_blocked=True),
    ]
    arrows.append(
        Arrow(source=len(steps) - 3, target=len(steps) - 2, text="Transfer, again", size=33, tone=Tone.REPEATED)
    )
    return Sequence(title="10,000 transfers", lanes=lanes, steps=tuple(steps), arrows=tuple(arrows))


def unrecorded() -> Sequence:
    """A server whose client was not recorded: what that sent is drawn at the time when it came."""
    lanes = (Lane(group="bank (1)", title="server"), Lane(group="not recorded", title="client"))
    steps = tuple(
        Step(lane=lane, begun=at, ended=at, text=f"{'' if lane else 'received '}{text}")
        for at, text in ((1.0, "hello"), (2.0, "ask"))
        for lane in (0, 1)
    )
    return Sequence(title="t", lanes=lanes, steps=steps, arrows=(Arrow(source=1, target=0), Arrow(source=3, target=2)))


def two_kinds(clients: int = 20) -> Sequence:
    """A server that accepts clients of two kinds, one kind after the other."""
    lanes = [Lane(group="server (1)", title="TCP 127.0.0.1:4477")]
    steps: list[Step] = []
    arrows: list[Arrow] = []
    for number in range(clients):
        lane, word = len(lanes), "sendall" if number < clients // 2 else "recv"
        lanes.append(Lane(group="clients (2)", title=f"TCP 127.0.0.1:{50_000 + number}"))
        arrows.append(Arrow(source=len(steps), target=len(steps) + 1, text="connection"))
        calls = ((lane, "connect(('127.0.0.1', 4477))"), (0, "accept()"), (lane, f"{word}(1024)"), (lane, "close()"))
        steps += [
            Step(lane=where, begun=number + at / 10, ended=number + at / 10, text=text)
            for at, (where, text) in enumerate(calls)
        ]
    return Sequence(title="t", lanes=tuple(lanes), steps=tuple(steps), arrows=tuple(arrows))


HOSTILE = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m\x07",
    "\u202etxt.exe\u202c",
    "]]>&amp;\"'`",
    "a;b#c%%d\nend\r\nloop",
    "Z" + "\u0301" * 40,
    "x" * 5_000,
    "W@M" * 30,
    "日本語のとても長い名前" * 4,
    "\x00\x9b2J\u2028\ufffe\ud800",
)
"""What may stand in any text of a drawing."""


def hostile() -> Sequence:
    """Every text of it was written by somebody who means harm."""
    lanes = tuple(Lane(group=text, title=text, detail=text) for text in HOSTILE)
    steps = tuple(
        Step(
            lane=number,
            begun=number * 0.1,
            ended=number * 0.1 + 0.05,
            text=text,
            result=text,
            data=text,
            size=3,
            state=text,
            is_blocked=number % 2 == 0,
            tone=list(Tone)[number % 7],
        )
        for number, text in enumerate(HOSTILE)
    )
    arrows = tuple(
        Arrow(source=number, target=number + 1, text=text, size=1) for number, text in enumerate(HOSTILE[1:])
    )
    return Sequence(title=HOSTILE[0] + HOSTILE[1], lanes=lanes, steps=steps, arrows=arrows, notes=HOSTILE)


def connections(count: int = 12) -> Timeline:
    """Some connections, one of which is refused, and one that goes on."""
    rows = []
    for number in range(count):
        begin = number * 7.0 / max(12, count)
        end = None if number == 3 else begin + 0.8 + (number * 37 % 11) / 5
        refused_ = number % 8 == 5
        spans = [Span(begun=begin, ended=begin + 0.05, text="connecting", tone=Tone.BEGIN)]
        if refused_:
            spans = [Span(begun=begin, ended=begin + 0.4, text="refused", tone=Tone.FAILED)]
        else:
            spans.append(Span(begun=begin + 0.05, ended=end, text="open"))
        marks = (Mark(at=begin + 0.4, text="ConnectionRefusedError", tone=Tone.FAILED),) if refused_ else ()
        group = "client.py (90)" if number % 2 else "server.py (91)"
        rows.append(
            Row(
                group=group,
                title=f"127.0.0.1:{50_000 + number}",
                spans=tuple(spans),
                marks=marks,
                sent=0 if refused_ else 1_000 * number**2 + 17,
                received=0 if refused_ else 70_000 * number,
            )
        )
    rows.sort(key=lambda row: row.group)
    return Timeline(title="A minute of connections", ended=10.5, rows=tuple(rows))


class State(Enum):
    """Of a session, as short as it can be."""

    STARTING = "starting"
    OPEN = "open"
    LOST = "lost"
    CLOSED = "closed"
    FAILED = "failed"


class Move(Enum):
    """What moves it."""

    SEND_HELLO = "send hello"
    LOSE = "connection lost"
    RESUME = "resume"
    STAY = "ping"
    END = "end of input"
    FAIL = "violation"


_ENDS = {Move.END: State.CLOSED, Move.FAIL: State.FAILED}
TABLE: dict[State, dict[Move, State]] = {
    State.STARTING: {Move.SEND_HELLO: State.OPEN, **_ENDS},
    State.OPEN: {Move.LOSE: State.LOST, Move.STAY: State.OPEN, **_ENDS},
    State.LOST: {Move.RESUME: State.OPEN, **_ENDS},
    State.CLOSED: {},
    State.FAILED: {},
}
PATH = (Move.SEND_HELLO, Move.STAY, Move.LOSE, Move.RESUME, Move.LOSE, Move.RESUME, Move.END)


def session() -> StateDiagram:
    """A session that was lost twice, and ended."""
    told = Told(
        title="Session 7", meanings={"lost": "The connection is lost, and the session kept."}, notes=("A note.",)
    )
    return state_diagram_of(TABLE, State.STARTING, PATH, finals={State.CLOSED, State.FAILED}, told=told)


def long_path() -> StateDiagram:
    """A session that was lost so often that there is hardly room for the numbers."""
    again = (Move.LOSE, Move.RESUME)
    path = (Move.SEND_HELLO, *again * 5_000, Move.STAY, Move.STAY, Move.END)
    told = Told(title="server.py (4711): tcp://127.0.0.1:4477 from tcp://127.0.0.1:50312 (accepting, session 8f)")
    return state_diagram_of(TABLE, State.STARTING, path, finals={State.CLOSED, State.FAILED}, told=told)


def hostile_states() -> StateDiagram:
    """States whose names others chose."""
    places = tuple(Place(name=text, meaning=text, visits=number) for number, text in enumerate(HOSTILE))
    moves = tuple(
        Transition(source=one, target=other, text=one, taken=number, order=number)
        for number, (one, other) in enumerate(zip(HOSTILE, HOSTILE[1:] + HOSTILE[:1], strict=True))
    )
    return StateDiagram(
        title=HOSTILE[3], start=HOSTILE[0], places=places, transitions=moves, current=HOSTILE[1], notes=HOSTILE
    )


def hostile_timeline() -> Timeline:
    """Peers whose names others chose."""
    rows = tuple(
        Row(
            group=text,
            title=text,
            spans=(Span(begun=number, ended=number + 0.5, text=text, tone=list(Tone)[number % 7]),),
            marks=(Mark(at=number + 0.2, text=text),),
            sent=2**number,
        )
        for number, text in enumerate(HOSTILE)
    )
    return Timeline(title=HOSTILE[4], ended=10, rows=rows, notes=HOSTILE)


def rows_called(titles: tuple[str, ...], spans: int = 1, notes: tuple[str, ...] = ()) -> Timeline:
    """A minute and a half of connections with such names."""
    each = tuple(Span(begun=number, ended=90, text="open") for number in range(spans))
    return Timeline(
        title="t", ended=100, rows=tuple(Row(group="g", title=title, spans=each) for title in titles), notes=notes
    )


def replaced(step: Step, **changes: object) -> Step:
    """The step with other fields."""
    return msgspec.structs.replace(step, **changes)
