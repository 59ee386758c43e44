"""Servers in programs of their own, where what forks the children is itself forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import pytest

import tomada
import tomada.sync
from tests.integration.processes import environment, line
from tests.server.children import program as program_module
from tests.server.children.homes import is_alive, processes
from tests.server.children.program import HERE, Die, Echo, Hold, Try, Who
from tests.server.test_run import Call
from tomada import ConnectionLost

LONGEST = 20


@contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, program_module.__file__, *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    ) as server:
        try:
            yield server
        finally:
            server.kill()


def first(server: subprocess.Popen[str]) -> str:
    """Where it has messages."""
    return line(server).split()[0]


def end(server: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = server.communicate(timeout=LONGEST)
    return server.returncode, out, err


def family(server: subprocess.Popen[str]) -> tuple[int, list[int]]:
    """Its template and the children of that."""
    ((template, _),) = processes(server.pid)
    return template, [pid for pid, _ in processes(template)]


def until_gone(*pids: int) -> None:
    give_up = monotonic() + LONGEST
    while any(map(is_alive, pids)):
        assert monotonic() < give_up, "they still live"
        sleep(0.01)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="a page keeps a descriptor of the file")
def test_a_child_has_nothing_of_the_other_childrens_pages() -> None:
    with program(HERE) as server, tomada.sync.connect(first(server)) as client:
        assert client.ask(Try("pages of others")) == "0"


def test_connections_are_served_and_a_signal_ends_all_in_order() -> None:
    with program(HERE) as server, tomada.sync.connect(first(server)) as client:
        pid, _, parent = client.ask(Who())
        template, children = family(server)
        assert parent == template
        assert pid in children
        call = Call(client, Hold(0.3))
        sleep(0.1)
        os.killpg(server.pid, signal.SIGINT)  # as a terminal does it
        assert call.outcome() == "held"
        assert end(server)[:2] == (0, "left\n")
        until_gone(template, *children)


def test_a_caller_hears_of_its_child_s_end() -> None:
    with program(HERE) as server, tomada.sync.connect(first(server)) as client:
        with pytest.raises(ConnectionLost, match=r"was killed by signal 6 \(SIGABRT\)"):
            client.ask(Die("abort"))
        server.terminate()
        assert end(server)[0] == 0


def test_a_second_signal_ends_all_at_once() -> None:
    with program(HERE, "60") as server, tomada.sync.connect(first(server)) as client:
        assert client.ask(Echo(b"ready")) == b"ready"
        template, children = family(server)
        call = Call(client, Hold(60))
        sleep(0.1)
        server.send_signal(signal.SIGTERM)
        sleep(0.2)
        server.send_signal(signal.SIGTERM)
        assert end(server)[0] == 0
        lost = call.outcome()
        assert isinstance(lost, ConnectionLost)
        until_gone(template, *children)


@pytest.mark.parametrize("way", ["kill", "kill a stopped template's server"])
def test_of_a_server_that_is_killed_nothing_is_left(way: str) -> None:
    with program(HERE) as server, tomada.sync.connect(first(server)) as client:
        assert client.ask(Echo(b"ready")) == b"ready"
        template, children = family(server)
        assert children
        call = Call(client, Hold(60))
        if way != "kill":
            os.kill(children[0], signal.SIGSTOP)
        server.kill()
        assert isinstance(call.outcome(), ConnectionLost)
        until_gone(template, *children)


def test_a_server_whose_template_is_killed_ends_with_an_error() -> None:
    with program(HERE) as server, tomada.sync.connect(first(server)) as client:
        assert client.ask(Echo(b"ready")) == b"ready"
        template, children = family(server)
        call = Call(client, Hold(60))
        sleep(0.1)
        os.kill(template, signal.SIGKILL)
        assert isinstance(call.outcome(), ConnectionLost)
        code, _, err = end(server)
        assert code == 1
        assert "ChildrenFailed: the process that forks children has ended" in err
        until_gone(*children)


def test_a_process_with_threads_is_not_forked() -> None:
    """Python itself would warn of it, and a warning is an error here."""
    serving = tomada.serve(program_module.app, HERE, isolation="process")
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    try:
        serving.prepare()
        template = serving._template
        assert template is not None
        assert template._process is not None
        template.drop()
    finally:
        leave.set()
        thread.join()
    assert processes() == []
