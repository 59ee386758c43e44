"""The browser client's lanes: what is urgent overtakes, and nobody is sent more than it handles."""

from __future__ import annotations

from tests.web.chromium import Page
from tests.web.conftest import Server


def test_what_is_urgent_overtakes_a_big_upload(bank: Page) -> None:
    told = bank.run("""
        const data = new Uint8Array(15_000_000);
        const done = [];
        const big = bank.ask("Echo", {data}).then((came) => done.push(`big ${came.length}`));
        const times = [];
        while (done.length === 0) {
            const begun = performance.now();
            const receipt = await bank.ask("Transfer", {source: "a", target: "b", cents: 1}, {urgent: true});
            if (done.length === 0) times.push(performance.now() - begun);
            await bank.send("Note", {text: "urgent"}, {urgent: true});
        }
        await big;
        const notes = await bank.ask("Notes");
        return [done, times.length > 5, notes.length > 5, Math.max(...times) < 1000];
    """)

    assert told == [["big 15000000"], True, True, True]


def test_within_a_lane_order_holds(bank: Page) -> None:
    told = bank.run("""
        const sent = [];
        for (let number = 0; number < 3000; number += 1) {
            const urgent = number % 7 === 0;
            sent.push(bank.send("Load", {number, data: new Uint8Array(number % 300)}, {urgent}));
        }
        await Promise.all(sent);
        let came;
        do came = await bank.ask("Loads"); while (came.length < 3000);
        const inOrder = (some) => some.every((number, at) => at === 0 || some[at - 1] < number);
        const urgent = (number) => number % 7 === 0;
        return [inOrder(came.filter(urgent)), inOrder(came.filter((number) => !urgent(number))), came.length];
    """)

    assert told == [True, True, 3000]


def test_a_server_that_handles_nothing_makes_who_sends_wait(bank: Page) -> None:
    told = bank.run("""
        await bank.ask("Hang", {hangs: true});
        const data = new Uint8Array(10_000);
        let accepted = 0;
        try {
            for (;; accepted += 1) bank.sendNowait("Load", {number: accepted, data});
        } catch (error) {
            if (!(error instanceof tomada.BufferFull)) throw error;
        }
        const controller = new AbortController();
        const {signal} = controller;
        const given = bank.send("Load", {number: -1, data}, {signal}).catch((error) => error.message);
        let waits = true;
        const waiting = bank.send("Load", {number: accepted, data}).then(() => { waits = false; });
        controller.abort(new Error("no more"));
        const urgent = await bank.ask("Hang", {hangs: true}, {urgent: true});
        const {waitingBytes, unacknowledgedBytes} = bank.statistics();
        const told = [await given, waits, urgent, waitingBytes + unacknowledgedBytes < 1_048_576 + 11_000];
        await bank.ask("Hang", {hangs: false}, {urgent: true});
        await waiting;
        let came;
        do came = await bank.ask("Loads"); while (came.length <= accepted);
        came.sort((one, other) => one - other);
        return [...told, accepted > 90 && accepted < 110, came.every((number, at) => number === at)];
    """)

    assert told == ["no more", True, True, True, True, True]


def test_a_page_that_handles_slowly_stops_the_server(bank: Page, server: Server) -> None:
    bank.run(f'globalThis.other = await tomada.connect("{server.address}")')
    told = bank.run("""
        const waiting = [];
        let came = 0;
        let slow = true;
        const stop = bank.on("Load", ({number}) => {
            if (number !== came++) throw new Error(`${number} came`);
            if (slow) return new Promise((resolve) => waiting.push(resolve));
        });
        const flood = bank.ask("Flood", {count: 1000, bytes: 10_000});
        let before = -1;
        let flooded = 0;
        while (flooded === 0 || flooded !== before) {
            before = flooded;
            await new Promise((resolve) => setTimeout(resolve, 300));
            flooded = await other.ask("Flooded");
        }
        const held = bank.statistics().heldBytes;
        slow = false;
        for (const resolve of waiting) resolve();
        const count = await flood;
        stop();
        await other.close();
        return [flooded > 90 && flooded < 250, held >= 1_048_576 && held < 1_070_000, count, came];
    """)

    assert told == [True, True, 1000, 1000]


def test_much_goes_through_at_speed_where_timers_hardly_run(bank: Page) -> None:
    told = bank.run("""
        const timer = globalThis.setTimeout;
        globalThis.setTimeout = (start, pause = 0) => timer(start, Math.max(1000, pause)); // as where nobody looks
        try {
            const begun = performance.now();
            const came = await bank.ask("Echo", {data: new Uint8Array(12_000_000)});
            return [came.length, performance.now() - begun < 5000];
        } finally {
            globalThis.setTimeout = timer;
        }
    """)

    assert told == [12_000_000, True]


def test_many_small_messages_may_be_under_way_in_the_page(bank: Page) -> None:
    told = bank.run("""
        const waiting = [];
        let came = 0;
        const stop = bank.on("Load", () => { came += 1; return new Promise((resolve) => waiting.push(resolve)); });
        const flood = bank.ask("Flood", {count: 60_000, bytes: 0});
        while (came < 40_000) await new Promise((resolve) => setTimeout(resolve, 20));
        const begun = performance.now();
        const release = setInterval(() => { for (const resolve of waiting.splice(0)) resolve(); }, 1);
        const count = await flood;
        clearInterval(release);
        stop();
        return [count, performance.now() - begun < 10_000];
    """)

    assert told == [60_000, True]


def test_a_page_chooses_how_much_waits(page: Page, server: Server) -> None:
    told = page.run(f"""
        const {{connect, BufferFull}} = await import("/tomada.js");
        const wrong = await connect("{server.address}", {{bufferBytes: 5}}).catch((error) => error.message);
        const bank = await connect("{server.address}", {{bufferBytes: 20_000, streamBytes: 2_000}});
        await bank.ask("Hang", {{hangs: true}});
        let count = 0;
        try {{ for (;; count += 1) bank.sendNowait("Load", {{number: count, data: new Uint8Array(1_000)}}); }}
        catch (error) {{ if (!(error instanceof BufferFull)) throw error; }}
        await bank.ask("Hang", {{hangs: false}}, {{urgent: true}});
        let came = 0;
        const stop = bank.on("Load", () => {{ came += 1; }});
        const flooded = await bank.ask("Flood", {{count: 100, bytes: 5_000}});
        stop();
        await bank.close();
        return [wrong, count > 10 && count < 25, flooded, came];
    """)

    assert told == ["bufferBytes is 5, it must be a whole number, 1024 or more", True, 100, 100]
