"""How handlers do, by type; and that it is counted while a meter is on, and only then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tomada
from tests.integration.conftest import Run
from tests.integration.house import HERE, Echo, Fail, Hold, Note, Sit, Stage, house, turns_until
from tomada.telemetry import RequestEnded, tally
from tomada.telemetry.meter import BOUNDS, Meter, TypeFigures
from tomada.telemetry.tally import Tally, quantile, tally_of


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Counts of this test alone."""
    monkeypatch.setattr(tally, "_tallies", {})
    assert not tally.is_metered
    yield
    assert not tally.is_metered, "every meter was closed"
    assert tally.is_wanted is bool(RequestEnded.subscribers)


def quantiles(one: Tally) -> tuple[float | None, float | None]:
    recent = one.recent()
    return quantile(recent, 0.5), quantile(recent, 0.99)


def by_name(meter: Meter) -> dict[str, TypeFigures]:
    return {figures.name: figures for figures in meter.figures()}


def test_handlers_are_counted_by_type_and_end(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(server.addresses[0]) as client:
            await client.ask(Echo(b"before"))
            with Meter() as meter:
                for _ in range(5):
                    await client.ask(Echo(b"x"))
                with pytest.raises(tomada.RemoteError):
                    await client.ask(Fail("typed"))
                with pytest.raises(tomada.RemoteError):
                    await client.ask(Fail("later plain"))
                with pytest.raises(tomada.TimedOut):
                    await client.ask(Hold("it"), timeout=0.02)
                await client.send(Note("x"))
                stage.open("thread")
                await client.ask(Sit("thread"))
                await turns_until(lambda: by_name(meter).get("Hold", None) and by_name(meter)["Hold"].failed)
                found = by_name(meter)
            await client.ask(Echo(b"after"))
            assert {name: (one.handled, one.failed) for name, one in found.items()} == {
                "Echo": (5, 0),
                "Fail": (2, 2),
                "Hold": (1, 1),
                "Note": (1, 0),
                "Sit": (1, 0),
            }
            hold = found["Hold"]
            assert hold.p50 is not None
            assert hold.p50 == hold.p99
            assert 0.015 < hold.p50 < 40
            assert hold.seconds > 0.015
            assert hold.buckets[-1] == (float("inf"), 1)
            assert hold.buckets[0] == (BOUNDS[0], 0)
            assert [count for _, count in found["Echo"].buckets] == sorted(count for _, count in found["Echo"].buckets)
            assert found["Echo"].buckets[-1][1] == 5, "few are all timed"
            assert tally.tally_of("Echo").handled == 5, "nothing is counted while none is on"

    run(main())


def test_meters_share_their_counts_and_the_last_ends_them(run: Run) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            with Meter() as first:
                await client.ask(Echo(b"x"))
                second = Meter()
                await client.ask(Echo(b"x"))
                assert by_name(first)["Echo"].handled == by_name(second)["Echo"].handled == 2
            await client.ask(Echo(b"x"))
            assert by_name(second)["Echo"].handled == 3
            second.close()
            second.close()
            assert not tally.is_wanted

    run(main())


def test_a_meter_and_a_subscriber_at_once(run: Run) -> None:
    async def main() -> None:
        events: list[RequestEnded] = []
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            with Meter() as meter:
                await client.ask(Echo(b"x"))
                with tomada.subscribe(events.append, RequestEnded):
                    for _ in range(3):
                        await client.ask(Echo(b"x"))
                    with pytest.raises(tomada.RemoteError):
                        await client.ask(Fail("typed"))
                await client.ask(Echo(b"x"))
                assert by_name(meter)["Echo"].handled == 5
                assert (by_name(meter)["Fail"].handled, by_name(meter)["Fail"].failed) == (1, 1)
        assert [(event.name, event.failure) for event in events] == [("Echo", "")] * 3 + [("Fail", "raised")]
        assert all(event.seconds > 0 for event in events)

    run(main())


def test_what_failed_before_there_was_a_meter_is_not_counted(run: Run) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:

            async def fail() -> None:
                for how in ("typed", "later plain"):
                    with pytest.raises(tomada.RemoteError):
                        await client.ask(Fail(how))

            with tomada.subscribe(lambda _: None, RequestEnded):
                await fail()
                with Meter() as meter:
                    await fail()
                    assert (by_name(meter)["Fail"].handled, by_name(meter)["Fail"].failed) == (2, 2)

    run(main())


def test_many_are_sampled_and_the_samples_stand_for_all() -> None:
    with Meter():
        one = Tally("x")
        count = 20_000
        timed = 0
        for _ in range(count):
            begun = one.start()
            if begun:
                timed += 1
                one.note(0.003)
        assert one.handled == count
        # With the first 200 of each second, and one in 16, then in 128, after them: of each second that it has taken.
        assert timed < count / 4
        total = one.buckets()[-1][1]
        assert count * 0.7 < total < count * 1.4
        p50, p99 = quantiles(one)
        assert p50 is not None
        assert abs(p50 / 0.003 - 1) < 0.1
        assert p50 == p99
        assert abs(one.seconds / total - 0.003) < 1e-6
        bounds = dict(one.buckets())
        assert bounds[0.0025] == 0
        assert bounds[0.005] == total


def test_after_a_burst_those_that_are_rare_again_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    with Meter() as meter:
        one = tally_of("burst")
        while one.next <= one.handled + 1:  # until they are so many that not all are timed
            one.start()
        assert not one.start()
        with Meter():
            assert one.start(), "a new meter has seen no burst"
        while one.next <= one.handled + 1:
            one.start()
        assert not one.start()
        now = perf_counter()
        monkeypatch.setattr(tally, "perf_counter", lambda: now + 2)
        meter.figures()
        assert one.start(), "some seconds later there is no burst any more"


def test_quantiles_tell_the_slow_from_the_fast() -> None:
    with Meter():
        one = Tally("x")
        for number in range(100):
            assert one.start()
            one.note(1.0 if number >= 90 else 0.001)
        p50, p99 = quantiles(one)
        assert p50 is not None
        assert p99 is not None
        assert abs(p50 / 0.001 - 1) < 0.1
        assert abs(p99 - 1.0) < 0.1


@given(st.floats(1e-6, 1e4), st.floats(0.01, 1))
def test_a_quantile_is_at_most_5_percent_off(seconds: float, part: float) -> None:
    one = Tally("x")
    one.note(seconds)
    found = quantile(one.recent(), part)
    assert found is not None
    assert abs(found / seconds - 1) < 0.05


def test_what_is_older_than_a_minute_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(tally, "perf_counter", lambda: now)
    one = Tally("x")
    one.start()
    one.note(1.0)
    assert one.rates() == (0.0, 0.0), "there was no look before"
    for _ in range(50):
        one.start()
        one.note(0.001)
    now += 5
    rate, failures = one.rates()
    assert (rate, failures) == (10.0, 0.0)
    now += 5
    assert quantiles(one)[1] is not None
    now += 60
    assert quantiles(one) == (None, None)
    assert one.rates()[0] < 1
    assert one.handled == 51
    assert one.buckets()[-1][1] == 51, "since the start"


def test_handlers_of_threads_count_too() -> None:
    async def serve(ready: threading.Event, addresses: list[str], over: asyncio.Event) -> None:
        async with tomada.serve(house(Stage()), HERE, isolation="thread") as server:
            addresses.append(str(server.addresses[0]))
            ready.set()
            await over.wait()

    async def main() -> None:
        ready, over, addresses = threading.Event(), asyncio.Event(), []  # type: ignore[var-annotated]
        serving = asyncio.create_task(serve(ready, addresses, over))
        await asyncio.to_thread(ready.wait)
        with Meter() as meter:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(ask(addresses[0]))
            assert by_name(meter)["Echo"].handled == 15
        over.set()
        await serving

    async def ask(address: str) -> None:
        async with tomada.connect(address, sessions=False) as client:
            for _ in range(5):
                await client.ask(Echo(b"x"))

    asyncio.run(main())
