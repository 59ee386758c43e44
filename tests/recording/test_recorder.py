"""What is recorded of a program, whatever it does: the program notices nothing, and nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.authority import Authority
from tests.recording.rig import Rig, free_port, name_of, rig
from tomada.diagrams import Tone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs fork and are killed")
WAITING = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
server.accept()[0].sendall(b"never answered")
client.recv(100)
client.recv(100)
"""


class TestEnds:
    def test_a_killed_program_is_seen_in_what_it_waited(self, traced: Rig) -> None:
        # The first of the accepted connection's is collected, which ends the second recv: so this one keeps it.
        program = traced.start(
            traced.code("waiting.py", WAITING.replace("server.accept()[0]", "kept = server.accept()[0]; kept"))
        )
        traced.wait_for(lambda record: record["kind"] == "begun" and record["call"] == "recv" and record["n"] > 8)
        os.kill(program.pid, signal.SIGKILL)
        program.wait(30)

        last = traced.told().steps("waiting.py")[-1]
        assert (name_of(last), last.ended, last.is_blocked, last.result) == ("recv", None, True, "has not returned")

    @pytest.mark.parametrize(
        "end", ["import os; os._exit(0)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "1/0", "exit(3)"]
    )
    def test_all_that_happened_is_there(self, traced: Rig, end: str) -> None:
        program = traced.start(
            traced.code(
                "ending.py", f"import socket\na, b = socket.socketpair()\na.sendall(b'last words')\nb.recv(99)\n{end}\n"
            )
        )
        program.communicate(timeout=30)

        told = traced.told()
        assert [name for name in told.names("ending.py") if name in {"sendall", "recv"}] == ["sendall", "recv"]
        assert ("ending.py sendall", "ending.py recv", 10) in told.arrows()

    def test_sockets_that_nobody_closed(self, traced: Rig) -> None:
        traced.run(
            traced.code("careless.py", "import socket\na = socket.socket()\na = None\nb = socket.socket()\nb.close()")
        )

        closes = traced.told().steps("careless.py", "close")
        assert [step.result for step in closes] == ["by garbage collection", ""]

    def test_a_duplicate_keeps_a_socket_open(self, traced: Rig) -> None:
        traced.run("-c", "import socket\na, b = socket.socketpair(); c = a.dup(); a.close(); c.send(b'x'); c.close()")

        steps = traced.told().steps("-c", "close", "send")
        assert [(name_of(step), step.state) for step in steps][:3] == [
            ("close", "connected"),
            ("send", "connected"),
            ("close", "closed"),
        ]

    def test_a_file_keeps_a_socket_open(self, traced: Rig) -> None:
        traced.run(
            traced.code(
                "files.py",
                "import socket\na, b = socket.socketpair()\nfile = a.makefile('rwb')\na.close()\n"
                "file.write(b'line\\n'); file.flush(); b.recv(10); file.close()\n",
            )
        )

        told = traced.told()
        assert [step.result for step in told.steps("files.py", "close")][:2] == ["later: a file of it is open", ""]
        assert ("files.py send", "files.py recv", 5) in told.arrows()


class TestUnchanged:
    def test_the_program_sees_nothing_of_it(self, traced: Rig) -> None:
        output = traced.run(
            traced.code(
                "curious.py",
                "import sys\n"
                "print('sitecustomize' in sys.modules and sys.modules['sitecustomize'].__file__)\n"
                "print([name for name in ('socket', 'ssl', 'selectors', 'json', 'threading') if name in sys.modules])\n"
                "print([place for place in sys.path if 'tomada_recorder' in place])\n"
                "import socket\n"
                "print(socket.socket.recv.__name__, socket.socket.__init__.__name__, socket.socket.recv.__doc__[:10])\n"
                "class Own(socket.socket):\n"
                "    def recv(self, size): return super().recv(size) + b'!'\n"
                "a, b = socket.socketpair()\n"
                "own = Own(fileno=b.detach())\n"
                "a.send(b'hello')\n"
                "print(own.recv(10), own.fileno() > 0)\n",
            )
        )

        startup, modules, places, names, own = output.splitlines()
        assert "tomada_recorder" in startup
        assert (modules, places) == ("[]", "[]") or os.environ.get("COVERAGE_PROCESS_CONFIG")
        assert names == "recv __init__ recv(buffe"
        assert own == "b'hello!' True"

    def test_the_real_sitecustomize_is_run(self, traced: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text("print('the real one')\n")
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

        assert traced.run("-c", "import sitecustomize; print(sitecustomize.__file__)").splitlines() == [
            "the real one",
            str(tmp_path / "site" / "sitecustomize.py"),
        ]

    @pytest.mark.parametrize("python", ["/usr/bin/python3"])
    def test_an_interpreter_without_tomada(self, traced: Rig, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if not Path(python).exists():
            pytest.skip(f"there is no {python}")
        monkeypatch.setattr(sys, "executable", python)
        monkeypatch.delenv("PYTHONPATH", raising=False)

        traced.run("-c", "import socket; socket.socket().close()")

        assert traced.told().names("-c import") == ["socket", "close"]

    def test_errors_are_the_same(self, traced: Rig) -> None:
        output = traced.run(
            traced.code(
                "errors.py",
                "import socket\n"
                "def attempt(do, *words):\n"
                "    try: do(*words)\n"
                "    except Exception as error: print(type(error).__name__, error)\n"
                "s = socket.socket()\n"
                "attempt(s.bind, 'nonsense'); attempt(s.recv); attempt(s.recv, -1); attempt(s.send, 'text')\n"
                "attempt(s.sendmsg); attempt(s.sendmsg, [5]); attempt(s.sendmsg, 5); attempt(s.recv_into)\n"
                "attempt(s.connect, ('127.0.0.1', 1)); s.close(); attempt(s.recv, 1); attempt(socket.socket, 99)\n",
            )
        )

        plain = [line.split()[0] for line in output.splitlines()]
        others = ["ConnectionRefusedError", "OSError", "OSError"]
        assert plain == [*["TypeError"] * 2, "ValueError", *["TypeError"] * 5, *others]
        steps = traced.told().steps("errors.py", "connect", "recv", "send")
        assert not traced.told().sequence.notes
        assert any("TypeError" in step.result for step in steps if name_of(step) == "send")
        assert {step.tone for step in steps if step.result} == {Tone.FAILED}
        assert any("ConnectionRefusedError" in step.result for step in steps)
        assert any("Bad file descriptor" in step.result for step in steps)

    def test_buffers_that_can_be_gone_through_once(self, traced: Rig) -> None:
        """As asyncio gives them to sendmsg."""
        output = traced.run(
            traced.code(
                "once.py",
                "import socket\n"
                "a, b = socket.socketpair()\n"
                "print(a.sendmsg(part for part in (b'ab', b'cd')), b.recv(9))\n"
                "a.send(b'efg'); first, second = bytearray(2), bytearray(2)\n"
                "print(b.recvmsg_into(iter([first, second]))[0], bytes(first + second))\n",
            )
        )

        assert output.splitlines() == ["4 b'abcd'", "3 b'efg\\x00'"]
        steps = traced.told().steps("once.py", "sendmsg", "recvmsg_into")
        assert [(step.text.partition("(")[2], step.data) for step in steps] == [
            ("4 bytes)", "abcd"),
            ("2 bytes, 2 bytes)", "efg"),
        ]

    def test_functions_are_pickled_and_copied_by_name(self, traced: Rig) -> None:
        """As pools of processes do it with the function that they are to call."""
        output = traced.run(
            "-c",
            "import copy, inspect, os, pickle, select, socket\n"
            "s = socket\n"
            "for one in (s.gethostbyname, s.socketpair, s.socket.recv, os.close, os._exit, select.select):\n"
            "    assert pickle.loads(pickle.dumps(one)) is one and copy.deepcopy(one) is one\n"
            "print(*inspect.signature(socket.getaddrinfo).parameters, socket.getaddrinfo.__module__)\n",
        )

        assert output == "host port family type proto flags socket\n"

    def test_what_a_signals_handler_raises_meanwhile(self, traced: Rig) -> None:
        """It is the program's, though the handler ran while the recorder did its work."""
        output = traced.run(
            traced.code(
                "alarm.py",
                "import signal, socket\n"
                "def enough(*_): raise TimeoutError('enough')\n"
                "signal.signal(signal.SIGUSR1, enough)\n"
                "class Loud(socket.socket):\n"
                "    def fileno(self):\n"
                "        if loud: signal.raise_signal(signal.SIGUSR1)\n"
                "        return super().fileno()\n"
                "    def getsockname(self): self.fileno(); return super().getsockname()\n"
                "loud = False; a = Loud(); loud = True\n"
                "def attempt(do, *words):\n"
                "    try: do(*words)\n"
                "    except Exception as error: print(type(error).__name__, error)\n"
                "attempt(a.bind, ('127.0.0.1', 0)); attempt(a.recv, 1); attempt(a.getsockname); loud = False\n",
            )
        )

        assert output == "TimeoutError enough\n" * 3
        assert not traced.told().sequence.notes

    def test_a_program_may_close_all_descriptors(self, traced: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("COV")]:
            monkeypatch.delenv(name)  # it would close the database of what is covered
        traced.run(
            traced.code(
                "daemon.py",
                "import os, socket\n"
                "before = socket.socket()\n"
                "os.closerange(3, 5000)\n"
                "for number in range(3, 2000):\n"
                "    try: os.close(number)\n"
                "    except OSError: pass\n"
                "after, other = socket.socketpair()\n"
                "after.send(b'still here'); print(other.recv(100))\n",
            )
        )

        assert ("daemon.py send", "daemon.py recv", 10) in traced.told().arrows()


class TestSeen:
    def test_no_data(self, tmp_path: Path) -> None:
        with rig(tmp_path, data=0) as made:
            made.run(
                made.code(
                    "secret.py", "import socket\na, b = socket.socketpair()\na.send(b'pass' + b'word'); b.recv(9)"
                )
            )

            assert "password" not in made.path.read_text()
            assert [step.size for step in made.told().steps("secret.py", "send", "recv")] == [8, 8]

    def test_only_the_first_bytes(self, tmp_path: Path) -> None:
        with rig(tmp_path, data=4) as made:
            made.run(
                made.code("long.py", "import socket\na, b = socket.socketpair()\na.send(b'0123456789'); b.recv(99)")
            )

            assert [step.data for step in made.told().steps("long.py", "send", "recv")] == ["0123", "0123"]

    @pytest.mark.parametrize(
        ("content", "shown"),
        [
            (b"plain", "plain"),
            ("olá ✓".encode(), "olá ✓"),
            (b"a\r\nb\x00", r"a\r\nb\x00"),
            (b"\xff\xfe\x00", r"\xff\xfe\x00"),
            (b"\x1b[31m", r"\x1b[31m"),
        ],
    )
    def test_data_as_text(self, traced: Rig, content: bytes, shown: str) -> None:
        traced.run("-c", f"import socket\na, b = socket.socketpair()\na.send({content!r}); b.recv(99)")

        assert [step.data for step in traced.told().steps("-c", "send", "recv")] == [shown, shown]

    def test_arguments_by_name(self, traced: Rig) -> None:
        traced.run(
            "-c",
            "import socket\na, b = socket.socketpair()\na.send(b'hello'); buffer = bytearray(9)\n"
            "b.recv_into(buffer, flags=socket.MSG_PEEK); b.recv_into(buffer=buffer, nbytes=4)\n"
            "b.recvfrom_into(buffer)\n",
        )

        told = traced.told()
        steps = told.steps("-c", "recv_into", "recvfrom_into")
        assert [step.text.partition("(")[2] for step in steps] == ["9 bytes, MSG_PEEK)", "4 bytes)", "9 bytes)"]
        assert [step.data for step in steps] == ["hello", "hell", "o"]
        assert [arrow[1:] for arrow in told.arrows()] == [
            ("-c import socket recv_into", 4),
            ("-c import socket recvfrom_into", 1),
        ]
        assert not told.sequence.notes

    def test_names_that_are_no_text(self, traced: Rig) -> None:
        traced.run(
            traced.code(
                "names.py",
                "import socket, threading\n"
                "server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)\n"
                "server.bind(b'\\xff.sock'); server.listen(); client.connect(b'\\xff.sock'); server.accept()\n"
                "thread = threading.Thread(target=client.send, args=(b'x',), name='\\ud800')\n"
                "thread.start(); thread.join()\n",
            )
        )

        told = traced.told()
        assert told.names("names.py", "bind", "connect", "accept", "send") == ["bind", "connect", "accept", "send"]
        assert ("names.py connect", "names.py accept", 0) in told.arrows()
        assert not told.sequence.notes

    def test_names_that_are_asked_for(self, traced: Rig) -> None:
        traced.run("-c", "import socket; socket.getaddrinfo('127.0.0.1', 80); socket.gethostbyname('127.0.0.1')")

        steps = traced.told().steps("-c")
        assert [name_of(step) for step in steps] == ["getaddrinfo", "gethostbyname"]
        assert steps[0].result == "127.0.0.1:80"

    def test_an_inherited_socket(self, traced: Rig) -> None:
        traced.run(
            traced.code(
                "giver.py",
                "import socket, subprocess, sys\n"
                "a, b = socket.socketpair()\n"
                "taker = 'import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); '\n"
                "taker += 's.sendall(s.recv(9).upper())'\n"
                "child = subprocess.Popen([sys.executable, '-c', taker, str(b.fileno())], pass_fds=[b.fileno()])\n"
                "b.close(); a.sendall(b'inherit'); print(a.recv(9)); child.wait()\n",
            )
        )

        told = traced.told()
        assert [told.sequence.lanes[lane].detail.split(",")[0] for lane in told.lanes("-c import")] == ["inherited"]
        assert sorted(arrow[:2] for arrow in told.arrows() if arrow[2] == 7) == [
            ("-c import socket, sys; s = socket sendall", "giver.py recv"),
            ("giver.py sendall", "-c import socket, sys; s = socket recv"),
        ]

    def test_what_cannot_be_seen_is_said(self, traced: Rig) -> None:
        traced.run("-c", "import uvloop")

        assert any("uvloop makes its calls in C" in note for note in traced.told().sequence.notes)

    def test_tls_of_asyncio_is_on_its_socket(self, traced: Rig, authority: Authority) -> None:
        port = free_port()
        certificate, key = authority.apart("asyncio", "localhost")
        server = traced.code(
            "tls_loop.py",
            "import asyncio, ssl\n"
            "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
            f"context.load_cert_chain({str(certificate)!r}, {str(key)!r})\n"
            "async def main():\n"
            "    done = asyncio.Event()\n"
            "    async def answer(reader, writer):\n"
            "        writer.write((await reader.read(99)).upper()); await writer.drain(); writer.close(); done.set()\n"
            f"    async with await asyncio.start_server(answer, '127.0.0.1', {port}, ssl=context):\n"
            "        await done.wait(); await asyncio.sleep(0.1)\n"
            "asyncio.run(main())\n",
        )

        told = traced.serve([server], ["tls_client.py", str(port), str(authority.file)])

        arrows = [arrow for arrow in told.arrows() if arrow[2]]
        assert arrows == [
            ("tls_client.py sendall", "tls_loop.py read", 13),
            ("tls_loop.py write", "tls_client.py recv", 13),
        ]
        assert len({step.lane for step in told.steps("tls_loop.py", "recv", "read", "do_handshake")}) == 1

    def test_a_non_blocking_connect(self, traced: Rig) -> None:
        port = free_port()
        client = (
            "import asyncio\n"
            "async def main():\n"
            f"    reader, writer = await asyncio.open_connection('127.0.0.1', {port})\n"
            "    writer.write(b'hello'); print(await reader.read(99)); writer.close()\n"
            "asyncio.run(main())\n"
        )
        told = traced.serve(["tcp_server.py", str(port)], ["-c", client])

        assert ("-c import asyncio connect", "tcp_server.py accept", 0) in told.arrows()
        assert ("-c import asyncio send", "tcp_server.py recv", 5) in told.arrows()

    def test_poll_and_select_waits(self, traced: Rig) -> None:
        traced.run(
            "-c",
            "import select, selectors, socket\n"
            "a, b = socket.socketpair()\n"
            "select.select([b], [], [], 0.01)\n"
            "with selectors.DefaultSelector() as selector:\n"
            "    selector.register(b, selectors.EVENT_READ)\n"
            "    selector.select(0.01); a.send(b'x'); selector.select(5)\n",
        )

        waits = [step for step in traced.told().steps("-c") if "select" in step.text]
        assert [step.result for step in waits] == ["nothing in this time"] * 2, "the third did not wait"

    def test_who_asks_not_to_wait_has_not_waited(self, traced: Rig) -> None:
        traced.run(
            "-c",
            "import socket\na, b = socket.socketpair()\n"
            "try: b.recv(1, socket.MSG_DONTWAIT)\nexcept BlockingIOError: pass\n",
        )

        (recv,) = traced.told().steps("-c", "recv")
        assert (recv.result, recv.is_blocked) == ("would block", False)

    @pytest.mark.parametrize("call", ["send(b'x' * 9_000_000)", "sendmsg([b'x', b'x' * 9_000_000])", "sendfile(file)"])
    def test_a_send_of_more_than_the_system_takes_is_seen_waiting(self, traced: Rig, call: str) -> None:
        program = traced.start(
            traced.code(
                "large.py",
                "import socket, tempfile\na, b = socket.socketpair(); file = tempfile.TemporaryFile()\n"
                f"file.truncate(9_000_000); a.{call}\n",
            )
        )
        traced.wait_for_call(call.partition("(")[0], kind="begun")
        program.kill()
        program.wait(30)

        (step,) = [step for step in traced.told().steps("large.py") if step.text.startswith("send")]
        assert (step.result, step.is_blocked) == ("has not returned", True)

    def test_a_signals_handler_makes_calls_while_another_waits(self, traced: Rig) -> None:
        program = traced.start(
            traced.code(
                "handler.py",
                "import signal, socket\n"
                "server = socket.create_server(('127.0.0.1', 0))\n"
                "def stop(*_):\n"
                "    a, b = socket.socketpair(); a.send(b'stop'); raise SystemExit\n"
                "signal.signal(signal.SIGTERM, stop)\n"
                "server.accept()\n",
            )
        )
        traced.wait_for_call("accept", kind="begun")
        program.terminate()
        traced.end(program)

        names = traced.told().names("handler.py")
        assert [name for name in names if name in {"accept", "socketpair", "send"}] == ["accept", "socketpair", "send"]

    def test_threads_that_wait_at_the_same_socket(self, traced: Rig) -> None:
        traced.run(
            traced.code(
                "threads.py",
                "import socket, threading\n"
                "server = socket.create_server(('127.0.0.1', 0), backlog=100)\n"
                "def work():\n"
                "    for _ in range(20): server.accept()[0].close()\n"
                "threads = [threading.Thread(target=work) for _ in range(4)]\n"
                "[t.start() for t in threads]\n"
                "for _ in range(80): socket.create_connection(server.getsockname()).close()\n"
                "[t.join() for t in threads]\n",
            )
        )

        told = traced.told()
        assert not told.sequence.notes
        assert len(told.steps("threads.py", "accept")) == 80
        assert len([arrow for arrow in told.sequence.arrows if arrow.text == "connection"]) == 80

    def test_a_selector_that_selects(self, traced: Rig) -> None:
        """It keeps select.select in its class, where a function of Python's would become a method."""
        traced.run(
            "-c",
            "import selectors, socket\n"
            "a, b = socket.socketpair()\n"
            "with selectors.SelectSelector() as selector:\n"
            "    selector.register(b, selectors.EVENT_READ)\n"
            "    selector.select(0.01); a.send(b'x'); print(len(selector.select(5)))\n",
        )

        assert traced.told().names("-c", "select") == ["select"]

    def test_a_module_that_is_only_looked_for(self, traced: Rig) -> None:
        traced.run(
            "-c",
            "import importlib.util\n"
            "assert all(map(importlib.util.find_spec, ['socket', 'ssl', 'uvloop']))\n"
            "import socket; socket.socket().close()\n",
        )

        told = traced.told()
        assert told.names("-c import") == ["socket", "close"]
        assert not told.sequence.notes

    def test_modules_in_an_archive_which_have_one_loader(self, traced: Rig) -> None:
        output = traced.run(
            "-c",
            "import importlib.util, sys, zipfile\n"
            "with zipfile.ZipFile('archive.zip', 'w') as archive:\n"
            "    archive.writestr('zmq.py', ''); archive.writestr('other.py', '')\n"
            "sys.path.insert(0, 'archive.zip')\n"
            "importlib.util.find_spec('zmq'); importlib.util.find_spec('zmq')\n"
            "import other, zmq; print(zmq.__file__)\n",
        )

        assert output.strip().endswith("archive.zip/zmq.py")
        assert [note.partition(": ")[2][:6] for note in traced.told().sequence.notes] == ["ZeroMQ"]

    def test_several_threads_close_and_open(self, traced: Rig) -> None:
        """The numbers of descriptors go from one socket to another between threads; none is mistaken for another."""
        traced.run(
            traced.code(
                "busy.py",
                "import socket, threading\n"
                "def work():\n"
                "    for _ in range(100):\n"
                "        a, b = socket.socketpair()\n"
                "        a.send(b'x'); b.recv(1); a.close(); b.close()\n"
                "threads = [threading.Thread(target=work) for _ in range(4)]\n"
                "[t.start() for t in threads]; [t.join() for t in threads]\n",
            )
        )

        told = traced.told()
        assert len(told.lanes("busy.py")) == 800
        assert len([arrow for arrow in told.arrows() if arrow[2]]) == 400
        assert not [note for note in told.sequence.notes if "recorder could not" in note]


class TestDescriptors:
    def test_reads_and_writes_by_descriptor(self, traced: Rig) -> None:
        """As multiprocessing's pipes do it."""
        traced.run(
            traced.code(
                "pipes.py",
                "import os, socket\n"
                "a, b = socket.socketpair()\n"
                "one, other = a.detach(), b.detach()\n"
                "os.write(one, b'by descriptor'); os.read(other, 99)\n"
                "os.close(one); os.close(other)\n"
                "try: os.write(one, b'x')\n"
                "except OSError: print('closed')\n",
            )
        )

        told = traced.told()
        assert ("pipes.py write", "pipes.py read", 13) in told.arrows()
        assert [step.result for step in told.steps("pipes.py", "close")] == ["by os.close"] * 2
        assert {step.state for step in told.steps("pipes.py", "close")} == {"closed"}

    def test_a_socket_whose_descriptor_was_closed(self, traced: Rig) -> None:
        traced.run(
            "-c",
            "import os, socket\na = socket.socket(); os.close(a.fileno())\n"
            "for do in (lambda: a.send(b'x'), a.close):\n"
            "    try: do()\n"
            "    except OSError: pass\n",
        )

        told = traced.told()
        assert [(name_of(step), step.state) for step in told.steps("-c")][1:] == [
            ("close", "closed"),
            ("send", "closed"),
            ("close", "closed"),
        ]
        assert ["Bad file descriptor" in step.result for step in told.steps("-c")] == [False, False, True, True]
        assert not told.sequence.notes

    def test_files_that_are_sent(self, traced: Rig) -> None:
        traced.run(
            traced.code(
                "files.py",
                "import os, socket\n"
                "with open('content', 'wb') as file: file.write(b'c' * 1000)\n"
                "a, b = socket.socketpair()\n"
                "with open('content', 'rb') as file:\n"
                "    print(a.sendfile(file), os.sendfile(a.fileno(), file.fileno(), 0, 10))\n"
                "b.recv(1010, socket.MSG_WAITALL)\n",
            )
        )

        told = traced.told()
        assert [step.size for step in told.steps("files.py", "sendfile")] == [1000, 10]
        assert sum(arrow[2] for arrow in told.arrows()) == 1010

    def test_a_write_that_fails(self, traced: Rig) -> None:
        traced.run(
            "-c",
            "import os, socket\na, b = socket.socketpair()\nb.close()\n"
            "try: os.write(a.fileno(), b'x')\nexcept BrokenPipeError: pass\n",
        )

        (write,) = traced.told().steps("-c", "write")
        assert write.result.startswith("BrokenPipeError")
        assert write.state == "failed"


class TestTls:
    def test_what_fails(self, traced: Rig, authority: Authority) -> None:
        """A client that does not trust the server's certificate."""
        port = free_port()
        certificate, key = authority.apart("elsewhere", "elsewhere.example")
        server = traced.start("tls_server.py", str(port), str(certificate), str(key))
        traced.wait_for_call("listen")
        client = traced.start("tls_client.py", str(port), str(authority.file))
        client.communicate(timeout=40)
        server.communicate(timeout=40)

        (failed,) = traced.told().steps("tls_client.py", "do_handshake")
        assert failed.tone is Tone.FAILED
        assert failed.result.startswith("ssl.SSLCertVerificationError")

    def test_in_memory(self, traced: Rig, authority: Authority) -> None:
        certificate, key = authority.apart("memory", "localhost")
        traced.run(
            traced.code(
                "memory.py",
                "import ssl\n"
                "there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
                f"there.load_cert_chain({str(certificate)!r}, {str(key)!r})\n"
                f"here = ssl.create_default_context(cafile={str(authority.file)!r})\n"
                "one, other = ssl.MemoryBIO(), ssl.MemoryBIO()\n"
                "server = there.wrap_bio(one, other, server_side=True)\n"
                "client = here.wrap_bio(other, one, server_hostname='localhost')\n"
                "def shake(end):\n"
                "    try: end.do_handshake()\n"
                "    except ssl.SSLWantReadError: pass\n"
                "shake(client); shake(server); shake(client); shake(server)\n"
                "client.write(b'clear text')\n"
                "buffer = bytearray(4); print(server.read(4, buffer), server.read(len=99))\n"
                "try: client.read()\n"
                "except ssl.SSLWantReadError: print('nothing')\n"
                "try: client.write('text')\n"
                "except TypeError: print('no bytes')\n",
            )
        )

        told = traced.told()
        assert told.names("memory.py") == ["do_handshake", "do_handshake", "write", "read", "read", "write"]
        assert [step.data for step in told.steps("memory.py", "read")] == ["clea", "r text"]
        assert {lane.title for lane in told.sequence.lanes} == {"TLS client", "TLS server"}

    def test_it_ends_in_order(self, traced: Rig, authority: Authority) -> None:
        certificate, key = authority.apart("ending", "localhost")
        traced.run(
            traced.code(
                "ending.py",
                "import socket, ssl, threading\n"
                "there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
                f"there.load_cert_chain({str(certificate)!r}, {str(key)!r})\n"
                f"here = ssl.create_default_context(cafile={str(authority.file)!r})\n"
                "a, b = socket.socketpair()\n"
                "def serve():\n"
                "    with there.wrap_socket(b, server_side=True) as end:\n"
                "        end.write(end.read(9)); print(end.makefile('rb').readline()); end.unwrap().close()\n"
                "thread = threading.Thread(target=serve); thread.start()\n"
                "with here.wrap_socket(a, server_hostname='localhost') as end:\n"
                "    end.send(b'one'); end.recv_into(bytearray(9)); end.sendall(data=b'two\\n'); end.unwrap().close()\n"
                "thread.join()\n",
            )
        )

        told = traced.told()
        assert [arrow for arrow in told.arrows() if arrow[2]] == [
            ("ending.py send", "ending.py read", 3),
            ("ending.py write", "ending.py recv_into", 3),
            ("ending.py sendall", "ending.py recv_into", 4),
        ]
        assert len(told.steps("ending.py", "unwrap")) == 2


def test_a_socket_that_cannot_be_made(traced: Rig) -> None:
    traced.run(
        "-c",
        "import socket\n"
        "from functools import partial as do\n"
        "for make in (do(socket.socket, 99), do(socket.socketpair, 99), do(socket.getaddrinfo, 'a' * 99, 1)):\n"
        "    try: make()\n"
        "    except (OSError, UnicodeError): pass\n",
    )

    steps = traced.told().steps("-c")
    assert [name_of(step) for step in steps] == ["socket", "socketpair", "getaddrinfo"]
    assert all(step.tone is Tone.FAILED for step in steps)


def test_a_recorder_that_fails_says_so_and_the_program_goes_on(traced: Rig) -> None:
    output = traced.run(
        traced.code(
            "odd.py",
            "import socket\n"
            "class Odd(socket.socket):\n"
            "    def getsockname(self): raise RuntimeError('odd')\n"
            "a = Odd(socket.AF_INET, socket.SOCK_STREAM)\n"
            "a.bind(('127.0.0.1', 0)); a.close(); print('fine')\n",
        )
    )

    assert output == "fine\n"
    assert any(
        "the recorder could not record a call: RuntimeError: odd" in note for note in traced.told().sequence.notes
    )


def test_a_recording_that_rotates_is_understood(tmp_path: Path) -> None:
    """What the first segments said of sockets and bytes is said again."""
    with rig(tmp_path, most=1 << 17) as made:
        made.run(
            made.code(
                "long.py",
                "import socket\n"
                "server = socket.create_server(('127.0.0.1', 0))\n"
                "client = socket.create_connection(server.getsockname())\n"
                "there, _ = server.accept()\n"
                "for number in range(1500):\n"
                "    client.sendall(b'%04d' % number)\n"
                "    there.recv(3, socket.MSG_WAITALL)\n"
                "print(len(there.recv(1500, socket.MSG_WAITALL)))\n",
            )
        )
        told = made.told()

        assert any("were dropped" in note for note in told.sequence.notes)
        client, there = (told.lanes("long.py")[place] for place in (0, 1))
        titles = {told.sequence.lanes[lane].title for lane in (client, there)}
        assert all(title.startswith("TCP 127.0.0.1:") for title in titles)
        for arrow in told.sequence.arrows[1:-1]:
            sent, received = told.ends(arrow)
            assert sent.begun < (received.ended or 0)
        last = told.sequence.steps[told.sequence.arrows[-1].target]
        assert last.size == 1500
        assert sum(arrow.size for arrow in told.sequence.arrows if told.ends(arrow)[1] is last) <= 1500
        assert told.ends(told.sequence.arrows[-1])[0].data == "1499"
