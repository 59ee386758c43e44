"""tomada.js in a real browser, against the real server in a process of its own."""

from __future__ import annotations

import pytest

from tests.web.chromium import Page, PageError
from tests.web.conftest import Server


def test_a_request_is_answered(bank: Page) -> None:
    receipt = bank.run('return await bank.ask("Transfer", {source: "ana", target: "rui", cents: 500}, {timeout: 5000})')

    assert receipt == {"number": 1, "balance": 500}


def test_an_error_arrives_with_its_fields(bank: Page) -> None:
    told = bank.run("""
        try { await bank.ask("Transfer", {source: "ana", target: "rui", cents: 5000}); }
        catch (error) {
            return [error instanceof tomada.RemoteError, error.code, error.type, error.fields, error.message];
        }
    """)

    assert told == [True, "error", "InsufficientFunds", {"balance": 1000}, "InsufficientFunds: balance=number 1000"]


def test_any_other_error_arrives_by_name_and_text(bank: Page) -> None:
    told = bank.run("""
        return await bank.ask("Transfer", {source: "a", target: "b", cents: -1})
            .catch((error) => [error.name, error.code, error.type, error.message]);
    """)

    assert told == ["RemoteError", "raised", "ValueError", "ValueError: less than nothing"]


WRONG = {
    '"Transfer", {source: "ana", target: "rui"}': "Transfer.cents (int) is missing",
    '"Transfer", {source: "ana", target: "rui", cents: "5"}': 'Transfer.cents must be int, it is "5"',
    '"Transfer", {source: "ana", target: "rui", cents: 1.5}': "Transfer.cents must be int, it is number 1.5",
    '"Transfer", {source: "a", target: "b", cents: 2 ** 60}': "beyond 2⁵³ - 1: give a BigInt",
    '"Transfer", {source: "a", target: "b", cents: 2n ** 64n}': "it must be from -2⁶³ to 2⁶⁴ - 1",
    '"Transfer", {source: "a", target: "b", cent: 1, cents: 1}': "Transfer has no field cent; Transfer has source,",
    '"Transfer", 7': "Transfer must be an object with the fields of Transfer, it is number 7",
    '"Tranfer", {}': "the server handles no request Tranfer; it handles Transfer, Mirror",
    '"Note", {text: "x"}': "Note is a message: send it",
    '"Mirror", {everything: {colour: "green"}}': 'must be one of "red", "blue", it is "green"',
    '"Mirror", {everything: {points: [{x: 1}, {y: 2}]}}': "Mirror.everything.points[1].x (int) is missing",
    '"Mirror", {everything: {word: "no"}}': "Mirror.everything.word must be",
    '"Mirror", {everything: {data: "text"}}': "Mirror.everything.data must be bytes",
    '"Mirror", {everything: {names: {a: [1]}}}': 'Mirror.everything.names["a"] must be tuple[int, str]',
    '"Mirror", {everything: {shape: {radius: 1, side: 2}}}': "Mirror.everything.shape must be Circle | Square | None",
    '"Echo", {data: new Uint8Array(17_000_000)}': "and the server takes 16777216",
}


@pytest.mark.parametrize("asked", WRONG)
def test_what_does_not_fit_is_told_before_it_is_sent(bank: Page, asked: str) -> None:
    told = bank.run(f"""
        return await bank.ask({asked}).catch((error) => [error instanceof tomada.MessageError, error.message]);
    """)

    assert told[0]
    assert WRONG[asked] in told[1]


def test_values_of_every_type_come_back_as_they_went(bank: Page) -> None:
    told = bank.run("""
        const went = {
            big: 2n ** 63n, ratio: 2, data: new Uint8Array([1, 2, 255]), at: new Date("2026-03-04T05:06:07.089Z"),
            day: "2026-05-06", price: "12.50", key: "00000000-0000-0000-0000-00000000002a", colour: "blue",
            points: [{x: 1, y: 2}, {x: -5_000_000_000}], shape: {side: 2.5, type: "Square"}, counts: {7: "seven"},
            names: new Map([["a", [1, "b"]]]), word: "it's", flags: new Set([3]),
        };
        const came = await bank.ask("Mirror", {everything: went});
        came.bigIs = typeof came.big;
        came.big = String(came.big);
        came.dataIs = came.data instanceof Uint8Array;
        came.data = [...came.data];
        came.atIs = came.at instanceof Date;
        came.at = came.at.toISOString();
        return came;
    """)

    assert told == {
        "big": str(2**63),
        "bigIs": "bigint",
        "ratio": 2,
        "data": [1, 2, 255],
        "dataIs": True,
        "at": "2026-03-04T05:06:07.089Z",
        "atIs": True,
        "day": "2026-05-06",
        "price": "12.50",
        "key": "00000000-0000-0000-0000-00000000002a",
        "colour": "blue",
        "points": [{"x": 1, "y": 2}, {"x": -5_000_000_000, "y": 0}],
        "shape": {"side": 2.5, "type": "Square"},
        "counts": {"7": "seven"},
        "names": {"a": [1, "b"]},
        "word": "it's",
        "flags": [3],
    }


def test_what_is_left_out_has_its_default(bank: Page) -> None:
    told = bank.run("""
        const {big, ratio, colour, shape, points, word} = await bank.ask("Mirror", {everything: {word: 3}});
        return {big, ratio, colour, shape, points, word};
    """)

    assert told == {"big": 1, "ratio": 0.5, "colour": "red", "shape": None, "points": [], "word": 3}


def test_one_way_messages_go_in_order(bank: Page) -> None:
    told = bank.run("""
        for (let number = 0; number < 500; number++) await bank.send("Note", {text: `note ${number}`});
        const notes = await bank.ask("Notes");
        return [notes.length, notes[0], notes[499]];
    """)

    assert told == [500, "note 0", "note 499"]


def test_messages_of_the_server_reach_those_who_listen(bank: Page) -> None:
    told = bank.run("""
        const ticks = [];
        const stop = bank.on("Tick", (tick) => ticks.push(tick.number));
        await bank.ask("Watch", {count: 3});
        stop();
        await bank.ask("Watch", {count: 3});
        return ticks;
    """)

    assert told == [0, 1, 2]


def test_the_server_asks_the_browser(bank: Page) -> None:
    told = bank.run("""
        const unknown = await bank.ask("AskMe", {text: "why"});
        const stop = bank.on("Question", async (question) => ({text: question.text + "!"}));
        const answered = await bank.ask("AskMe", {text: "why"});
        stop();
        bank.on("Question", () => { throw new RangeError("too far"); })
        return [unknown, answered, await bank.ask("AskMe", {text: "why"})];
    """)

    assert told[0].startswith("unknown: ")
    assert told[1:] == ["why!", "failed: RangeError: too far"]


def test_big_messages_travel_in_pieces(bank: Page) -> None:
    told = bank.run("""
        const data = new Uint8Array(3_000_000).map((_, at) => at % 251);
        const [one, other] = await Promise.all([bank.ask("Echo", {data}), bank.ask("Echo", {data: data.buffer})]);
        return [one, other].map((came) => came.length === data.length && came.every((byte, at) => byte === at % 251));
    """)

    assert told == [True, True]


def test_many_requests_are_under_way_at_once(bank: Page) -> None:
    told = bank.run("""
        const asked = Array.from({length: 10_000}, (_, cents) =>
            bank.ask("Transfer", {source: "a", target: "b", cents: cents % 1000}));
        return (await Promise.all(asked)).every((receipt, cents) => receipt.balance === 1000 - cents % 1000);
    """)

    assert told


# No word that a request was given up reaches the server: it is about another one, which is not open.
WITHOUT_CANCEL = """
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        const whole = new Uint8Array(data);
        if (whole[4] === 9) whole[8] = 127;
        send.call(this, whole);
    };
    try {
        %s
    } finally {
        WebSocket.prototype.send = send;
    }
"""


def test_the_server_is_told_how_long_an_answer_is_waited_for(bank: Page) -> None:
    told = bank.run(
        WITHOUT_CANCEL
        % """
        const late = await bank.ask("Hold", {seconds: 60}, {timeout: 300}).catch((error) => error.name);
        while (await bank.ask("Cancelled") === 0) await new Promise((resolve) => setTimeout(resolve, 20));
        const data = new Uint8Array(200_000);
        return [
            late,
            (await bank.ask("Echo", {data}, {timeout: 5_000})).length,
            await bank.ask("Hold", {seconds: 0}, {timeout: 2 ** 31 - 1}),
        ];
    """
    )

    assert told == ["TimedOut", 200_000, "held"]


def test_a_handler_in_the_page_is_told_when_its_answer_is_too_late(bank: Page) -> None:
    told = bank.run("""
        const reasons = [];
        const stop = bank.on("Question", (question) => new Promise((resolve, reject) => {
            question.signal.addEventListener("abort", () => {
                reasons.push(`${question.signal.reason.name}: ${question.signal.reason.message}`);
                reject(question.signal.reason);
            });
            if (question.text === "quick") resolve({text: "in time"});
        }));
        const answers = [
            await bank.ask("AskMe", {text: "slow", seconds: 0.05}),
            await bank.ask("AskMe", {text: "quick", seconds: 30}),
            await bank.ask("AskMe", {text: "quick", seconds: 3_000_000}),
        ];
        stop();
        return [...answers, reasons.length];
    """)

    assert told == ["timed out", "in time", "in time", 1]


def test_a_request_is_cancelled_by_time_and_by_signal(bank: Page) -> None:
    told = bank.run("""
        const told = (error) => [error.name, error.message];
        const late = await bank.ask("Hold", {seconds: 60}, {timeout: 300}).catch(told);
        const controller = new AbortController();
        const asked = bank.ask("Hold", {seconds: 60}, {signal: controller.signal});
        await bank.ping();
        controller.abort(new Error("changed my mind"));
        const reason = await asked.catch((error) => error.message);
        while (await bank.ask("Cancelled") < 2) await new Promise((resolve) => setTimeout(resolve, 20));
        return [late, reason, await bank.ask("Cancelled")];
    """)

    assert told == [["TimedOut", "no reply to Hold within 300 ms"], "changed my mind", 2]


def test_a_handler_that_throws_is_told_like_any_error_and_the_others_run(bank: Page) -> None:
    told = bank.run("""
        const errors = [];
        const came = [];
        const tell = (event) => { errors.push(event.message); event.preventDefault(); };
        addEventListener("error", tell);
        const stops = [
            bank.on("Tick", () => { throw new Error("mine"); }),
            bank.on("Tick", async () => { throw new Error("late"); }),
            bank.on("Tick", (tick) => came.push(tick.number)),
        ];
        await bank.ask("Watch", {count: 1});
        await bank.ping();
        for (const stop of stops) stop();
        removeEventListener("error", tell);
        return [errors, came, bank.state];
    """)

    assert told == [["Uncaught Error: mine", "Uncaught Error: late"], [0], "open"]


def test_the_server_tells_its_types(bank: Page) -> None:
    told = bank.run("return bank.types.find((type) => type.name === 'Transfer')")

    assert told == {
        "name": "Transfer",
        "kind": "request",
        "fields": {"source": "str", "target": "str", "cents": "int", "note": "str"},
        "reply": "Receipt",
        "doc": "Move money.",
    }


def test_close_lets_what_is_under_way_end(bank: Page) -> None:
    told = bank.run("""
        const events = [];
        bank.onclose = (event) => events.push(["property", event.detail]);
        bank.addEventListener("close", () => events.push("listener"));
        const asked = bank.ask("Hold", {seconds: 0.1});
        await bank.close();
        const after = await bank.ask("Notes").catch((error) => [error.name, error.message]);
        return [await asked, events, bank.isOpen, after];
    """)

    reason = "the connection was closed at this end"
    closed = {"reason": "the server said goodbye (closed)", "wasClean": True}
    assert told[0] == "held"
    assert told[1] in ([["property", closed], "listener"], [["property", {**closed, "reason": reason}], "listener"])
    assert told[2] is False
    assert told[3][0] == "ConnectionLost"


def test_without_a_server_the_error_says_where(page: Page) -> None:
    with pytest.raises(PageError, match=r"ConnectFailed: could not connect to ws://127\.0\.0\.1:1/: nothing answers"):
        page.run('await (await import("/tomada.js")).connect("ws://127.0.0.1:1/")')


def test_a_page_of_another_origin_is_refused(page: Page, server: Server) -> None:
    server.kill()
    server._origin = "https://elsewhere.example"
    server.start()

    with pytest.raises(PageError, match="or it refused"):
        page.run(f'await (await import("/tomada.js")).connect("{server.address}")')
