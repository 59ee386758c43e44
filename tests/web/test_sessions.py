"""The browser client's sessions: the connection is cut, and nothing is lost, doubled or reordered."""

from __future__ import annotations

import random
import time

import pytest

from tests.web.chromium import Page
from tests.web.conftest import Network, Server
from tomada.testing import Faults


def test_what_is_asked_while_the_connection_is_cut_takes_longer(far: Page, network: Network) -> None:
    far.run("""globalThis.asked = bank.ask("Hold", {seconds: 0.3}); await bank.ping();""")
    network.let(pass_=False)
    network.cut()
    told = far.run("""
        await until(() => bank.state === "resuming");
        globalThis.later = bank.ask("Transfer", {source: "a", target: "b", cents: 1});
        bank.sendNowait("Note", {text: "meanwhile"});
        const ping = await bank.ping().catch((error) => error.name);
        return [bank.isOpen, bank.reason, ping];
    """)
    assert told == [True, "the connection was lost", "ConnectionLost"]

    network.let(pass_=True)
    told = far.run("""
        const answers = [await asked, (await later).balance, await bank.ask("Notes")];
        return [...answers, bank.state, events, bank.statistics().resumed];
    """)

    assert told == ["held", 999, ["meanwhile"], "open", ["interrupt", "reconnect"], 1]


# Both ends send; the page counts what comes, the server what it gets.
BOTH_WAYS = """
    globalThis.came = [];
    globalThis.wrong = [];
    bank.on("Load", async ({number}) => {
        came.push(number);
        if (number % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    });
    globalThis.asked = [];
    globalThis.work = (async () => {
        const flood = bank.ask("Flood", {count: 1500, bytes: 3000});
        for (let number = 0; number < 1500; number += 1) {
            const data = new Uint8Array(number % 10 === 0 ? 70_000 : 300);
            await bank.send("Load", {number, data}, {urgent: number % 3 === 0});
            if (number % 10 !== 0) continue;
            const transfer = {source: "a", target: "b", cents: number % 1000};
            asked.push(bank.ask("Transfer", transfer, {urgent: number % 20 === 0}));
        }
        const receipts = await Promise.all(asked);
        return [await flood, receipts.every((receipt, at) => receipt.balance === 1000 - 10 * at % 1000)];
    })();
    work.catch(() => {});
"""
IN_ORDER = """
    const told = await work;
    await until(() => came.length >= 1500);
    await until(async () => (await near.ask("Loads")).length >= 1500);
    const got = await near.ask("Loads");
    const isWhole = (some, all) => some.length === all.length && some.every((number, at) => number === all[at]);
    const all = Array.from({length: 1500}, (_, number) => number);
    return [
        ...told, isWhole(came, all),
        isWhole(got.filter((number) => number % 3 === 0), all.filter((number) => number % 3 === 0)),
        isWhole(got.filter((number) => number % 3 !== 0), all.filter((number) => number % 3 !== 0)),
        bank.statistics().resumed > 3,
    ];
"""


@pytest.mark.parametrize("seed", range(4))
def test_many_cuts_lose_double_and_reorder_nothing(far: Page, network: Network, seed: int) -> None:
    chance = random.Random(seed)
    far.run(BOTH_WAYS)
    for _ in range(25):
        time.sleep(chance.uniform(0.0, 0.15))
        if chance.random() < 0.5:
            network.cut()
        else:
            way = chance.choice(["to_client", "to_server"])
            network.set(Faults(reset_after=chance.randrange(1, 200_000)), way)
    network.set(Faults())

    told = far.run(IN_ORDER)

    assert told == [1500, True, True, True, True, True]


def test_a_cut_in_the_middle_of_the_handshake_is_one_more_attempt(far: Page, network: Network) -> None:
    far.run(BOTH_WAYS)
    for size in (1, 100, 300, 500, 700, 900):
        for way in ("to_client", "to_server"):
            network.set(Faults(reset_after=size), way)
            network.cut()
            time.sleep(0.2)
            network.set(Faults(), way)
            far.run("await until(() => bank.state === 'open')")

    assert far.run(IN_ORDER) == [1500, True, True, True, True, True]


def test_when_the_session_is_lost_each_message_without_a_known_fate_is_told(
    far: Page, network: Network, server: Server
) -> None:
    far.run("""
        globalThis.over = new Promise((resolve) => { bank.onclose = (event) => resolve(event.detail); });
        await bank.ask("Hang", {hangs: true});
        await bank.send("Note", {text: "handled"});
        await until(() => bank.statistics().unacknowledgedBytes === 0);
        globalThis.asked = bank.ask("Hold", {seconds: 60}, {key: "my own"}).catch((error) => error.name);
        await bank.send("Load", {number: 1, data: new Uint8Array(200_000)});
        await bank.ping();
    """)
    network.let(pass_=False)
    network.cut()
    far.run("""
        await until(() => bank.state === "resuming");
        globalThis.later = bank.ask("Transfer", {source: "a", target: "b", cents: 1}).catch((error) => error.name);
        await bank.send("Load", {number: 2}, {urgent: true});
    """)
    server.kill()
    server.start()
    network.let(pass_=True)
    told = far.run("""
        const {reason, wasClean} = await over;
        const undelivered = bank.undelivered();
        return [
            reason.startsWith("the server said goodbye (session lost)"), wasClean, bank.state, await asked, await later,
            undelivered.map(({name, fields}) => [name, fields.number ?? fields.seconds ?? fields.cents]),
            undelivered[1].key, new Set(undelivered.map(({key}) => key)).size,
            undelivered.find(({fields}) => fields.number === 1).fields.data.length,
            await bank.send("Note", {text: "x"}).catch((error) => error.name),
        ];
    """)

    assert told == [
        True,
        False,
        "closed",
        "OutcomeUnknown",
        "SessionLost",
        [["Load", 2], ["Hold", 60], ["Load", 1], ["Transfer", 1]],
        "my own",
        4,
        200_000,
        "ConnectionLost",
    ]


def test_close_delivers_all_that_was_sent_over_a_new_connection_if_need_be(far: Page, network: Network) -> None:
    network.let(pass_=False)
    network.cut()
    far.run("""
        await until(() => bank.state === "resuming");
        for (let number = 0; number < 500; number += 1) bank.sendNowait("Load", {number, data: new Uint8Array(1000)});
        globalThis.gone = bank.close();
        if (bank.state !== "draining") throw new Error(bank.state);
    """)
    network.let(pass_=True)
    told = far.run("""
        await gone;
        return [bank.state, bank.undelivered().length, (await near.ask("Loads")).length];
    """)

    assert told == ["closed", 0, 500]


def test_close_without_a_network_waits_for_nobody_where_nothing_is_to_be_told(far: Page, network: Network) -> None:
    far.run("""
        await bank.send("Note", {text: "one"});
        await until(() => bank.statistics().unacknowledgedBytes === 0);
    """)
    network.let(pass_=False)
    network.cut()

    told = far.run("""
        await until(() => bank.state === "resuming");
        const begun = performance.now();
        await bank.close();
        return [performance.now() - begun < 1000, bank.undelivered().length];
    """)

    assert told == [True, 0]


def test_a_line_that_is_cut_through_is_made_again(far: Page, network: Network) -> None:
    far.run(f"""
        globalThis.quick = await tomada.connect("{network.address}", {{heartbeat: 200, timeout: 300}});
        globalThis.told = new Promise((resolve) => {{ quick.onreconnect = resolve; }});
        globalThis.reason = new Promise((resolve) => {{
            quick.oninterrupt = (event) => resolve(event.detail.reason);
        }});
        globalThis.asked = quick.ask("Hold", {{seconds: 0.5}});
        await quick.ping();
    """)
    network.stall(stalls=True)
    assert far.run("return await reason") == "the server gave no sign of life for 400 ms"

    network.stall(stalls=False)

    assert far.run("await told; const answer = await asked; await quick.close(); return answer;") == "held"


def test_a_server_that_is_gone_for_too_long_has_lost_the_session(page: Page, network: Network) -> None:
    page.run(f"""
        globalThis.tomada = await import("/tomada.js");
        globalThis.bank = await tomada.connect("{network.address}");
        globalThis.over = new Promise((resolve) => {{ bank.onclose = (event) => resolve(event.detail.reason); }});
    """)
    network.let(pass_=False)
    network.cut()

    told = page.run("""
        const now = Date.now;
        while (bank.state !== "resuming") await new Promise((resolve) => setTimeout(resolve, 1));
        Date.now = () => now() + 121_000; // as when the machine slept
        const reason = await over;
        Date.now = now;
        return reason;
    """)

    assert told.startswith("the connection could not be made again within 120 s: ")


def test_a_page_that_was_frozen_goes_on(far: Page, network: Network) -> None:
    far.run(BOTH_WAYS)
    for _ in range(3):
        far.command("Page.setWebLifecycleState", state="frozen")
        time.sleep(0.2)
        network.cut()
        time.sleep(0.2)
        far.command("Page.setWebLifecycleState", state="active")
        far.run("await until(() => bank.state === 'open')")

    assert far.run(IN_ORDER)[:-1] == [1500, True, True, True, True]


def test_a_server_that_was_killed_has_lost_the_session_and_another_is_begun(page: Page, server: Server) -> None:
    page.run(f"""
        const {{ connect }} = await import("/tomada.js");
        globalThis.events = [];
        globalThis.bank = await connect("{server.address}", {{renew: true}});
        globalThis.ticks = [];
        bank.on("Tick", (tick) => ticks.push(tick.number));
        bank.oninterrupt = (event) => events.push(["interrupt", event.detail.reason]);
        bank.onlost = (event) => events.push(["lost", event.detail.reason.slice(0, 37)]);
        globalThis.renewed = new Promise((resolve) => {{ bank.onrenew = resolve; }});
        globalThis.interrupted = new Promise((resolve) => bank.addEventListener("interrupt", resolve));
        globalThis.asked = bank.ask("Hold", {{seconds: 60}}).catch((error) => error.name);
        await bank.ping();
    """)
    server.kill()
    told = page.run("""
        await interrupted;
        globalThis.later = bank.ask("Notes").catch((error) => error.name);
        return [bank.state, bank.isOpen];
    """)
    assert told == ["resuming", True]

    server.start()
    told = page.run("""
        await renewed;
        await bank.ask("Watch", {count: 1});
        const receipt = await bank.ask("Transfer", {source: "a", target: "b", cents: 1});
        const state = bank.state;
        await bank.close();
        return [await asked, await later, events, ticks, receipt.balance, state, bank.state];
    """)

    lost = [["interrupt", "the connection was lost"], ["lost", "the server said goodbye (session lost)"[:37]]]
    assert told == ["OutcomeUnknown", "SessionLost", lost, [0], 999, "open", "closed"]


def test_without_sessions_all_fails_at_once(page: Page, server: Server) -> None:
    page.run(f"""
        const {{ connect }} = await import("/tomada.js");
        globalThis.bank = await connect("{server.address}", {{sessions: false}});
        globalThis.over = new Promise((resolve) => {{ bank.onclose = (event) => resolve(event.detail); }});
        globalThis.asked = bank.ask("Hold", {{seconds: 60}}).catch((error) => error.name);
        await bank.ping();
    """)
    server.kill()
    told = page.run("""
        return [await over, await asked, await bank.ask("Notes").catch((error) => error.name), bank.undelivered()];
    """)

    assert told == [{"reason": "the connection was lost", "wasClean": False}, "ConnectionLost", "ConnectionLost", []]


def test_it_begins_anew_with_a_server_that_was_stopped(page: Page, server: Server) -> None:
    page.run(f"""
        const {{ connect }} = await import("/tomada.js");
        globalThis.bank = await connect("{server.address}", {{renew: true}});
        globalThis.renewed = new Promise((resolve) => {{ bank.onrenew = resolve; }});
        globalThis.lost = new Promise((resolve) => {{ bank.onlost = (event) => resolve(event.detail.reason); }});
        globalThis.asked = bank.ask("Hold", {{seconds: 0.2}});
        await bank.ping();
    """)
    server.stop()
    assert page.run("return [await asked, await lost]") == [
        "held",
        "the server said goodbye (going away): the server stops",
    ]

    server.start()
    told = page.run("await renewed; const open = bank.isOpen; await bank.close(); return open;")

    assert told


SILENT = "the server gave no sign of life for 500 ms"


def test_a_server_that_gives_no_sign_of_life_is_given_up(page: Page, server: Server) -> None:
    page.run(f"""
        const {{ connect }} = await import("/tomada.js");
        globalThis.bank = await connect("{server.address}", {{heartbeat: 250, sessions: false}});
        globalThis.ended = new Promise((resolve) => {{ bank.onclose = (event) => resolve(event.detail); }});
        globalThis.asked = bank.ask("Hold", {{seconds: 60}}).catch((error) => [error.name, error.message]);
        await new Promise((resolve) => setTimeout(resolve, 700));
        globalThis.lived = bank.isOpen;
    """)
    server.pause()
    told = page.run("""
        const begun = performance.now();
        return [lived, await asked, await ended, performance.now() - begun < 30_000];
    """)

    assert told == [True, ["ConnectionLost", SILENT], {"reason": SILENT, "wasClean": False}, True]


def test_a_server_that_sleeps_finds_the_session_again(page: Page, server: Server) -> None:
    page.run(f"""
        const {{ connect }} = await import("/tomada.js");
        globalThis.bank = await connect("{server.address}", {{heartbeat: 250, timeout: 500}});
        globalThis.interrupted = new Promise((resolve) => {{
            bank.oninterrupt = (event) => resolve(event.detail.reason);
        }});
        globalThis.back = new Promise((resolve) => {{ bank.onreconnect = resolve; }});
        globalThis.asked = bank.ask("Hold", {{seconds: 1}});
    """)
    server.pause()
    assert page.run("return await interrupted") == SILENT

    server.go_on()
    told = page.run("""
        await back;
        const told = [await asked, bank.state, bank.reason];
        await bank.close();
        return told;
    """)

    assert told == ["held", "open", ""]
