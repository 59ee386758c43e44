"""One worker is replaced because somebody wants it: through the supervisor's control socket."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from threading import Thread

import tomada.sync
from tests.server.workers.farm import Nap, Pid
from tests.server.workers.supervised import HERE, PATIENCE, Call, Supervised, farm, until
from tomada.server.workers.directory import Outcome, ask


def drain(place: Path, server: Supervised, worker: int) -> Outcome:
    return ask(place / "tomada" / f"{server.process.pid}.sock", "drain", Outcome, timeout=PATIENCE, worker=worker)


def test_what_is_under_way_is_answered_and_another_worker_is_there_before(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "2", "--bind", HERE) as server:
        told = server.said("listening")
        with tomada.sync.connect(told["addresses"][0]) as client:
            number = told["workers"].index(client.ask(Pid())) + 1
            call = Call(place, client, Nap(2.0))
            outcome = drain(place, server, number)
            assert outcome.failure == ""
            assert outcome.workers[number - 1] not in told["workers"]
            assert outcome.workers[2 - number] in told["workers"]
            assert call.answer() == 1
        assert not server.said("worker_ended", pid=told["workers"][number - 1])["is_wrong"]
        assert server.process.poll() is None


def test_what_cannot_be_drained_is_said(place: Path) -> None:
    with Supervised(place, str(farm(place, START_SECONDS=1.0)), "--workers", "1", "--bind", HERE) as server:
        told = server.said("listening")
        assert drain(place, server, 2).failure == "there is no worker 2 that serves"
        (place / "starting").unlink()
        outcomes: list[Outcome] = []
        first = Thread(target=lambda: outcomes.append(drain(place, server, 1)))
        first.start()
        until((place / "starting").exists)
        assert drain(place, server, 1).failure == "worker 1 ends already"
        first.join()
        assert [outcome.failure for outcome in outcomes] == [""]
        assert outcomes[0].workers != tuple(told["workers"])


def test_a_worker_that_dies_meanwhile_is_replaced_once(place: Path) -> None:
    with Supervised(place, str(farm(place, START_SECONDS=1.0)), "--workers", "1", "--bind", HERE) as server:
        told = server.said("listening")
        (place / "starting").unlink()
        outcomes: list[Outcome] = []
        draining = Thread(target=lambda: outcomes.append(drain(place, server, 1)))
        draining.start()
        until((place / "starting").exists)
        os.kill(told["workers"][0], signal.SIGKILL)
        draining.join()
        (outcome,) = outcomes
        assert outcome.failure == ""
        assert tuple(server.children()) == outcome.workers
        with tomada.sync.connect(told["addresses"][0]) as client:
            assert (client.ask(Pid()),) == outcome.workers


def test_a_reload_takes_over_from_it(place: Path) -> None:
    with Supervised(place, str(farm(place, START_SECONDS=1.0)), "--workers", "1", "--bind", HERE) as server:
        server.said("listening")
        (place / "starting").unlink()
        outcomes: list[Outcome] = []
        draining = Thread(target=lambda: outcomes.append(drain(place, server, 1)))
        draining.start()
        until((place / "starting").exists)
        server.signal(signal.SIGHUP)
        draining.join()
        assert "loaded anew, in all workers" in outcomes[0].failure
        (pid,) = server.said("reloaded")["workers"]
        until(lambda: server.children() == [pid])
