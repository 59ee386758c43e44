"""Streams of items between the browser and the server, both ways, and over cut connections."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.web.chromium import Page
from tests.web.conftest import Network, Server
from tomada.testing import Faults


@pytest.fixture
def server(origin: str) -> Iterator[Server]:
    with ExitStack() as stack:
        server = Server(origin, "tests.web.streaming")
        stack.callback(server.kill)
        server.start()
        yield server


def test_items_come_one_by_one_and_end(bank: Page) -> None:
    told = bank.run("""
        const numbers = [];
        for await (const tick of bank.stream("Ticks", {count: 1000})) numbers.push(tick.number);
        const {reply, items} = bank.types.find((type) => type.name === "Ticks");
        return [numbers.length, numbers.every((number, at) => number === at), reply, items];
    """)

    assert told == [1000, True, None, "Tick"]


def test_to_leave_the_loop_cancels_the_handler(bank: Page) -> None:
    told = bank.run("""
        for await (const tick of bank.stream("Ticks", {pause: 0.001})) if (tick.number === 5) break;
        const stream = bank.stream("Ticks", {pause: 0.001});
        await stream.next();
        const rest = await stream.return("mine");
        const controller = new AbortController();
        const signalled = (async () => {
            for await (const _ of bank.stream("Ticks", {pause: 0.001}, {signal: controller.signal})) {
                controller.abort(new Error("no more"));
            }
        })().catch((error) => error.message);
        const late = (async () => { for await (const _ of bank.stream("Ticks", {pause: 0.01}, {timeout: 200})); })();
        const told = [rest, await stream.next(), await signalled, await late.catch((error) => error.name)];
        let stopped;
        do stopped = await bank.ask("Stopped"); while (stopped.length < 4);
        return [...told, stopped.every((number) => number < 500)];
    """)

    assert told == [{"done": True, "value": "mine"}, {"done": True}, "no more", "TimedOut", True]


def test_an_error_comes_behind_the_items(bank: Page) -> None:
    told = bank.run("""
        const came = [];
        const all = async () => { for await (const name of bank.stream("Names")) came.push(name); };
        const error = await all().catch((one) => one);
        const wrong = (ask) => { try { ask(); } catch (one) { return one.message; } };
        return [
            came, error.type, error.fields,
            wrong(() => bank.stream("Transfer", {})), wrong(() => bank.stream("Ticks", {count: "x"})),
            await bank.ask("Ticks").catch((one) => one.message), await bank.ask("Store").catch((one) => one.message),
            await bank.ask("Echo", {data: new Uint8Array(1)}, {upload: []}).catch((one) => one.message),
        ];
    """)

    assert told == [
        ["ana", None],
        "InsufficientFunds",
        {"balance": 7},
        "Transfer is a request: ask it",
        'Ticks.count must be int | None, it is "x"',
        "Ticks is a request with a stream of items: stream it",
        "Store takes parts: give them as the option upload",
        "Echo takes no upload",
    ]


def test_a_page_that_takes_slowly_is_not_sent_more(bank: Page) -> None:
    told = bank.run("""
        const stream = bank.stream("Chunks", {count: 500, bytes: 10_000});
        const {value} = await stream.next();
        const receipt = await bank.ask("Transfer", {source: "a", target: "b", cents: 1}); // others go on meanwhile
        await bank.ping();
        await new Promise((resolve) => setTimeout(resolve, 200));
        let [count, largest] = [1, 0];
        for await (const chunk of stream) {
            if (new DataView(chunk.buffer).getUint32(0) !== count) throw new Error(`not ${count}`);
            count += 1;
        }
        return [value.length, receipt.balance, count];
    """)

    assert told == [10_000, 999, 500]


def test_parts_go_up_from_an_async_iterable(bank: Page) -> None:
    told = bank.run("""
        async function* chunks() {
            for (let number = 0; number < 100; number += 1) {
                const chunk = new Uint8Array(100_000);
                new DataView(chunk.buffer).setUint32(0, number);
                yield chunk;
            }
        }
        const size = await bank.ask("Store", {}, {upload: chunks()});
        const numbers = await bank.ask("Add", {}, {upload: [{number: 1}, {number: 2}], urgent: true});
        return [size, numbers];
    """)

    assert told == [10_000_000, [1, 2]]


def test_an_upload_ends_with_its_request_and_a_request_with_its_upload(bank: Page) -> None:
    told = bank.run("""
        let ended = 0;
        async function* numbers(last) {
            try { for (let number = 0; number < last; number += 1) { yield {number}; await null; } }
            finally { ended += 1; }
            throw new Error("mine");
        }
        const refused = await bank.ask("Add", {}, {upload: numbers(1e9)}).catch((error) => error.type);
        const failed = await bank.ask("Add", {}, {upload: numbers(5)}).catch((error) => error.message);
        const wrong = await bank.ask("Add", {}, {upload: [{number: "x"}]}).catch((error) => error.message);
        const controller = new AbortController();
        const iterator = {next: () => new Promise(() => {}), return: async () => { ended += 1; return {}; }};
        const never = {[Symbol.asyncIterator]: () => iterator};
        const given = bank.ask("Add", {}, {upload: never, signal: controller.signal}).catch((error) => error.message);
        await bank.ping();
        controller.abort(new Error("given up"));
        return [refused, failed, wrong, await given, ended];
    """)

    assert told == ["InsufficientFunds", "mine", 'a part of Add.number must be int, it is "x"', "given up", 3]


def test_both_ways_at_once(bank: Page) -> None:
    told = bank.run("""
        const numbers = Array.from({length: 5000}, (_, at) => at);
        const came = [];
        for await (const number of bank.stream("Double", {}, {upload: numbers})) came.push(number);
        return [came.length, came.every((number, at) => number === 2 * at)];
    """)

    assert told == [5000, True]


def test_the_server_streams_from_the_page_and_to_it(bank: Page) -> None:
    told = bank.run("""
        let left = 0;
        const stop = bank.on("PageCount", async function* ({count, signal}) {
            try { for (let number = 0; number < count; number += 1) { yield number; await null; } }
            finally { if (signal.aborted) left += 1; }
        });
        const stopToo = bank.on("PageStore", async (_, parts) => {
            let size = 0;
            for await (const part of parts) size += part.length;
            return size;
        });
        const whole = await bank.ask("AskPage", {count: 2000});
        const part = await bank.ask("AskPage", {count: 1e9, leaves_at: 10});
        while (left === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        stop();
        stopToo();
        return [whole, part, left];
    """)

    assert told == [[2000, 500_000], [11, 500_000], 1]


def test_streams_go_on_where_they_were(far: Page, network: Network) -> None:
    chance = random.Random(5)
    far.run("""
        async function* chunks() {
            for (let number = 0; number < 1000; number += 1) {
                const chunk = new Uint8Array(5_000);
                new DataView(chunk.buffer).setUint32(0, number);
                yield chunk;
            }
        }
        const down = async () => {
            let count = 0;
            for await (const one of bank.stream("Chunks", {count: 1000, bytes: 5000})) {
                if (new DataView(one.buffer).getUint32(0) !== count++) throw new Error(`not ${count}`);
                if (count % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
            }
            return count;
        };
        const both = async () => {
            let count = 0;
            const upload = Array.from({length: 3000}, (_, at) => at);
            for await (const one of bank.stream("Double", {}, {upload, urgent: true})) {
                if (one !== 2 * count++) throw new Error(`${one} is not 2 * ${count}`);
            }
            return count;
        };
        globalThis.work = Promise.all([down(), bank.ask("Store", {}, {upload: chunks()}), both()]);
        work.catch(() => {});
    """)
    for _ in range(12):
        time.sleep(chance.uniform(0.0, 0.1))
        network.set(Faults(reset_after=chance.randrange(1, 300_000)))
    network.set(Faults())

    assert far.run("return [...await work, bank.statistics().resumed > 2]") == [1000, 5_000_000, 3000, True]
