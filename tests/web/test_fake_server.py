"""tomada.js against a server that says what a test wants, be it wrong: a WebSocket of the page's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.chromium import Page

# A server in the page: it answers the hello, and remembers all else.
SERVER = """
    const {connect} = await import("/tomada.js");
    const {Kind, controlFrame, readFrame, viewOf, writeFrame} = await import("/client/frames.js");
    const {packer, unpacker} = await import("/client/packing.js");
    const TYPES = [
        ["Note", "message", [["text", "str"]], null, new Uint8Array(0), true],
        ["Numbers", "request", [], null, new Uint8Array(0), true, null, false, "", "int"],
        ["Hold", "request", [], "int", new Uint8Array(0), true],
    ];
    globalThis.sockets = [];
    globalThis.pack = (value) => packer.encode(value);
    globalThis.Kind = Kind;
    globalThis.Fake = class {
        readyState = 0;
        bufferedAmount = 0;
        came = [];
        constructor() {
            sockets.push(this);
            setTimeout(() => {
                if (globalThis.isDead) this.lose();
                else { this.readyState = 1; this.onopen?.(); }
            });
        }
        send(bytes) {
            const view = viewOf(bytes);
            for (let place = 0; place < bytes.length;) {
                const frame = readFrame(view, place);
                place += 16 + frame.payload.length;
                this.came.push({...frame, payload: frame.payload.slice()});
                if (frame.kind === Kind.PING) queueMicrotask(() => this.give(controlFrame(Kind.PONG, frame.payload)));
                if (frame.kind === Kind.HELLO) this.welcome(unpacker.decode(frame.payload));
            }
        }
        welcome(hello) {
            const session = [new Uint8Array(16).fill(7), new Uint8Array(32).fill(8), 0, 60];
            this.hello = hello;
            const first = ["tomada", 1, "fake", [], TYPES, ["session"], session];
            this.say(Kind.WELCOME, globalThis.welcomes?.(session) ?? first);
        }
        say(kind, value) { this.give(controlFrame(kind, pack(value))); }
        frame(kind, {type = 0, id = 0, sequence = 1, flags = 2, payload = new Uint8Array(0)} = {}) {
            const whole = new Uint8Array(16 + payload.length);
            writeFrame(whole, 0, {kind, type, id, sequence, flags, payload});
            this.give(whole);
        }
        give(bytes) { this.onmessage?.({data: bytes.slice().buffer}); }
        credit(id, ...numbers) {
            const payload = new Uint8Array(8 * numbers.length);
            numbers.forEach((number, at) => viewOf(payload).setBigUint64(8 * at, BigInt(number)));
            this.give(controlFrame(Kind.CREDIT, payload, id));
        }
        close(code, reason) { this.readyState = 3; this.closedWith = [code, reason]; }
        lose() { this.readyState = 3; this.onclose?.({code: 1006, reason: ""}); }
    };
    globalThis.open = async (options = {}) => {
        const bank = await connect("ws://nowhere/", {WebSocket: Fake, ...options});
        const over = new Promise((resolve) => { bank.onclose = (event) => resolve(event.detail.reason); });
        return {bank, over, socket: sockets.at(-1)};
    };
    globalThis.until = async (is) => { while (!is()) await new Promise((go) => setTimeout(go, 1)); };
"""


@pytest.fixture
def fake(page: Page) -> Iterator[Page]:
    page.run(SERVER)
    yield page
    page.run("delete globalThis.welcomes; delete globalThis.isDead")


NOTE = 'payload: pack(["x"])'
WRONG = {
    f"socket.frame(Kind.SEND, {{type: 1, sequence: 2, {NOTE}}})": "sequence 2 came, 1 was due",
    f"socket.frame(Kind.SEND, {{type: 1, id: 3, {NOTE}}})": "a one-way message carries the request id 3",
    f"socket.frame(Kind.SEND, {{type: 1, flags: 3, {NOTE}}})": "flags 3 mean nothing",
    "socket.frame(Kind.PING, {flags: 0})": "a control frame came in lane 0 with sequence 1",
    "socket.frame(Kind.REPLY, {id: 1})": "an answer to request 1 came, which is not open",
    "socket.frame(Kind.ITEM, {id: 1})": "an item of request 1 came, which is not open",
    "socket.frame(Kind.CANCEL, {id: 1})": "the server gives up request 1, which is not its own",
    "socket.frame(Kind.ASK, {id: 1, type: 3, payload: pack([])})": "the server asks with the id 1, which",
    "socket.frame(Kind.SEND, {flags: 6, type: 1})": "a fragment of only 0 bytes came",
    "socket.credit(0, 5, 5)": "the credit shrinks from 1048576 to 5",
    "socket.credit(0, 1_048_576)": "a credit of 8 bytes came",
    "socket.say(Kind.ACKNOWLEDGE, [[3, []], [0, []]])": "sequence 3 was acknowledged, 0 is the last that was sent",
    "socket.say(Kind.WELCOME, ['tomada', 1])": "a second welcome came",
    "socket.frame(99, {flags: 0, sequence: 0})": "a frame of kind 99 came, which this version does not know",
    "socket.give(new Uint8Array([0, 1, 0, 1, 3, 2, ...new Uint8Array(10)]))": "a frame of 65537 bytes",
    "socket.onmessage({data: 'text'})": "the server sent text, and this protocol is binary",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_server_that_breaks_the_protocol_is_told_and_left(fake: Page, wrong: str) -> None:
    told = fake.run(f"""
        const {{bank, over, socket}} = await open();
        {wrong};
        const reason = await over;
        const goodbye = socket.came.at(-1);
        const text = new TextDecoder().decode(goodbye.payload);
        return [reason, goodbye.kind, text, socket.closedWith[0], sockets.at(-1) === socket];
    """)

    assert WRONG[wrong] in told[0]
    assert told[1] == 14
    assert "violation" in told[2]
    assert told[3:] == [4000, True]


def test_an_item_beyond_its_credit_and_a_message_beyond_its_own_are_violations(fake: Page) -> None:
    told = fake.run("""
        const one = await open();
        const items = one.bank.stream("Numbers");
        await until(() => one.socket.came.some(({kind}) => kind === Kind.ASK));
        const payload = pack(1);
        for (let sequence = 1; sequence < 20_000 && one.socket.readyState === 1; sequence += 1) {
            one.socket.frame(Kind.ITEM, {id: 1, sequence, payload});
        }
        const first = await items.next();

        const other = await open();
        other.bank.on("Note", () => new Promise(() => {}));
        const big = pack(["x".repeat(60_000)]);
        let sequence = 1;
        for (; sequence < 100 && other.socket.readyState === 1; sequence += 1) {
            other.socket.frame(Kind.SEND, {type: 1, sequence, payload: big});
        }
        return [await one.over, first.value, await other.over, sequence < 25];
    """)

    assert told[0] == "an item came beyond its credit of 262144 bytes"
    assert told[1] == 1
    assert "the credit is 1048576" in told[2]
    assert told[3]


REFUSALS = {
    "null": "the server does not go on with the session",
    "[new Uint8Array(16), new Uint8Array(32), 1, 60, [0, [0, [], 1], [0, [], 1]]]": "the server does not go on",
    "[...session.slice(0, 2), 1, 60, [9, [0, [], 1], [0, [], 1]]]": "the server knows 9 types of this end",
    "[...session.slice(0, 2), 1, 60, [1, [7, [], 1], [0, [], 1]]]": "the server has received up to 7, which this end",
    "[...session.slice(0, 2), 1, 60, [1, [1, [], 5], [0, [], 1]]]": "the server can send again from 5, this end",
}


@pytest.mark.parametrize("session", REFUSALS)
def test_a_session_that_cannot_go_on_is_lost_with_what_was_under_way(fake: Page, session: str) -> None:
    told = fake.run(f"""
        const {{bank, over, socket}} = await open();
        await bank.send("Note", {{text: "mine"}});
        await until(() => socket.came.some(({{kind}}) => kind === Kind.SEND));
        globalThis.welcomes = (session) => ["tomada", 1, "fake", [], [], [], {session}];
        socket.lose();
        const reason = await over;
        return [reason, bank.state, bank.undelivered()];
    """)

    assert REFUSALS[session] in told[0]
    assert told[1] == "closed"
    assert told[2] == [{"key": f"{'07' * 16}.1", "name": "Note", "fields": {"text": "mine"}}]


def test_what_the_server_has_handled_is_not_sent_again_and_the_rest_is_once(fake: Page) -> None:
    told = fake.run("""
        const {bank, socket} = await open();
        for (const text of ["a", "b", "c", "d"]) await bank.send("Note", {text});
        await until(() => socket.came.filter(({kind}) => kind === Kind.SEND).length === 4);
        socket.say(Kind.ACKNOWLEDGE, [[3, [2]], [0, []]]); // the second is held
        globalThis.welcomes = ([id, token]) =>
            ["tomada", 1, "fake", [], [], [], [id, token, 1, 60, [0, [3, [2], 1], [0, [], 1]]]];
        socket.lose();
        await bank.send("Note", {text: "e"});
        await until(() => sockets.at(-1).came.filter(({kind}) => kind === Kind.SEND).length === 3);
        const second = sockets.at(-1);
        const [id, token, epoch, generation, [types, normal, urgent]] = second.hello[8];
        const frames = second.came.filter(({kind}) => [Kind.SEND, Kind.DECLARE].includes(kind));
        second.say(Kind.ACKNOWLEDGE, [[5, []], [0, []]]);
        const {unacknowledgedBytes} = bank.statistics();
        second.say(Kind.GOODBYE, ["violation", "enough"]);
        const again = frames.map(({kind, sequence}) => [kind, sequence]);
        return [epoch, generation, types, normal, urgent, again, unacknowledgedBytes];
    """)

    assert told == [0, 1, 3, [0, [], 2], [0, [], 1], [[15, 0], [3, 2], [3, 4], [3, 5]], 0]


def test_frames_that_come_a_second_time_are_dropped(fake: Page) -> None:
    told = fake.run("""
        const {bank, socket} = await open();
        const texts = [];
        bank.on("Note", ({text}) => texts.push(text));
        for (const sequence of [1, 2, 1, 2, 3]) {
            socket.frame(Kind.SEND, {type: 1, sequence, payload: pack([`${sequence}`])});
        }
        const told = [texts, bank.statistics().duplicates];
        socket.say(Kind.GOODBYE, ["violation", "enough"]);
        return told;
    """)

    assert told == [["1", "2", "3"], 2]


def test_metadata_that_it_does_not_know_are_passed_over(fake: Page) -> None:
    told = fake.run("""
        const {bank, socket} = await open();
        const texts = [];
        bank.on("Note", ({text}) => texts.push(text));
        bank.on("Hold", () => 7);
        const behind = (metadata, value) => {
            const map = pack(metadata);
            return Uint8Array.from([map.length >> 8, map.length & 255, ...map, ...pack(value)]);
        };
        const trace = {t: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", s: "vendor=x"};
        socket.frame(Kind.SEND, {type: 1, sequence: 1, flags: 10, payload: behind(trace, ["traced"])});
        socket.frame(Kind.ASK, {type: 3, id: 2, sequence: 2, flags: 10, payload: behind({...trace, d: 60_000}, [])});
        await until(() => socket.came.some(({kind}) => kind === Kind.REPLY));
        return [texts, bank.statistics().duplicates];
    """)

    assert told == [["traced"], 0]


def test_sequences_begin_anew_after_the_last(fake: Page) -> None:
    told = fake.run("""
        const {Incoming, Outgoing} = await import("/client/lanes.js");
        const {extended, isAfter} = await import("/client/frames.js");
        const lane = new Outgoing(2);
        lane.retains = true;
        lane.sequence = 0xffff_fffe;
        const payload = new Uint8Array(40_000);
        lane.acknowledge(0, []);
        const pushed = [];
        for (let count = 0; count < 4; count += 1) {
            pushed.push(lane.sequence);
            lane.push({kind: 3, flags: 2, type: 1, id: 0, payload});
        }
        const kept = [...lane.frames()].map(({sequence}) => sequence);
        return [pushed, kept, isAfter(0, 0xffff_ffff), extended(1, 0xffff_ffff), extended(0xffff_ffff, 2 ** 32)];
    """)

    numbers = [0xFFFF_FFFE, 0xFFFF_FFFF, 0, 1]
    assert told == [numbers, numbers, True, 2**32 + 1, 2**32 - 1]


@pytest.mark.parametrize("event", ["window, new Event('online')", "document, new Event('visibilitychange')"])
def test_it_tries_at_once_when_the_network_is_back_or_the_page_is_seen(fake: Page, event: str) -> None:
    told = fake.run(f"""
        const {{bank, socket}} = await open();
        socket.lose();
        const count = sockets.length;
        const tell = (target, event) => target.dispatchEvent(event);
        tell({event});
        const tried = sockets.length;
        tell({event}); // the attempt is under way
        const told = [tried - count, sockets.length - count, bank.state];
        await bank.close();
        return [...told, bank.state];
    """)

    assert told == [1, 1, "resuming", "closed"]


def test_attempts_come_ever_more_slowly_and_never_at_once(fake: Page) -> None:
    told = fake.run("""
        const {bank, socket} = await open();
        const pauses = [];
        const timer = globalThis.setTimeout;
        globalThis.isDead = true;
        globalThis.setTimeout = (start, pause = 0) => {
            if (pause > 0 && pause !== 5000) pauses.push(pause);
            return timer(start, pause === 5000 ? pause : 0);
        };
        socket.lose();
        while (pauses.length < 9) await new Promise((resolve) => timer(resolve, 1));
        globalThis.setTimeout = timer;
        await bank.close();
        return pauses.slice(0, 9);
    """)

    longest = [100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000]
    assert all(most / 2 <= pause <= most for pause, most in zip(told, longest, strict=True)), told


def test_late_timers_are_no_silence(fake: Page) -> None:
    told = fake.run("""
        const timer = globalThis.setTimeout;
        globalThis.setTimeout = (start, pause = 0) => timer(start, pause + 300); // as where nobody looks
        const {bank, socket} = await open({heartbeat: 100});
        await until(() => socket.came.filter(({kind}) => kind === Kind.PING).length > 2);
        globalThis.setTimeout = timer;
        const {state} = bank;
        socket.say(Kind.GOODBYE, ["violation", "enough"]);
        return state;
    """)

    assert told == "open"
