"""What is measured: suites of contenders that do the same work, and what tomada wants to reach among them."""

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final


@dataclass(frozen=True)
class Contender:
    """One row of the report.

    Attributes:
        name: Its own.
        module: Its file in ``benchmarks/contenders``.
        needs: The packages, and the programs on the path, that it needs.
        loads: Those of its suite that it can carry; none: all.
    """

    name: str
    module: str
    needs: tuple[str, ...] = ()
    loads: tuple[int, ...] = ()

    def missing(self) -> tuple[str, ...]:
        """What it needs and is not installed."""
        return tuple(name for name in self.needs if find_spec(name) is None and shutil.which(name) is None)


@dataclass(frozen=True)
class Target:
    """A ratio of rates: contender ``ours`` against contender ``theirs`` at one load, at least ``bound``.

    A figure is reported, never enforced: machines differ, and a run may be disturbed.
    """

    load: int
    ours: str
    theirs: str
    bound: float


@dataclass(frozen=True)
class Suite:
    """Contenders that do the same work.

    Attributes:
        name: For ``--suite``.
        load: How a load is written, with its number in place of the braces.
        unit: Of the rates.
        references: Per load, the contender whose rate is 1 in the report's ratios.
        contenders: In the report's order.
        targets: What tomada wants to reach.
        pinned: Whether server and client have a core each; servers of several processes have the whole machine.
    """

    name: str
    load: str
    unit: str
    references: dict[int, str]
    contenders: tuple[Contender, ...]
    targets: tuple[Target, ...]
    pinned: bool = True

    def carries(self, contender: Contender, load: int) -> bool:
        """Whether ``contender`` is measured at ``load``."""
        return load in (contender.loads or self.references)


_FORKING: Final = (
    Contender("children-tomada", "children_tomada", ("tomada", "uvloop")),
    Contender("forking", "children_socketserver", ("tomada",)),
)

SUITES: Final = (
    Suite(
        "messages",
        "{:,} in flight",
        "replies/s",
        {1: "socket", 64: "pyzmq", 1000: "pyzmq"},
        (
            Contender("tomada", "tomada_async", ("tomada", "uvloop")),
            Contender("tomada-tls", "tomada_tls", ("tomada", "uvloop", "trustme"), loads=(1, 64)),
            Contender("tomada-sync", "tomada_sync", ("tomada", "uvloop"), loads=(1,)),
            Contender("tomada-unix", "tomada_unix", ("tomada", "uvloop"), loads=(1, 64)),
            Contender("socket", "raw_socket", loads=(1,)),
            Contender("streams", "streams", ("uvloop",)),
            Contender("pyzmq", "zeromq", ("zmq",)),
            Contender("pyzmq-multipart", "zeromq_multipart", ("zmq",)),
            Contender("pyzmq-asyncio", "zeromq_asyncio", ("zmq", "uvloop")),
            Contender("grpcio", "grpc_aio", ("grpc",)),
        ),
        (
            Target(1, "tomada", "socket", 0.45),
            Target(1, "tomada-sync", "socket", 0.6),
            # pyzmq in three forms: its fastest, which is a bare loop without calls that wait for their own reply; the
            # same as its guide writes it; and the one that does what tomada's client does.
            Target(64, "tomada", "pyzmq", 2.5),
            Target(64, "tomada", "pyzmq-multipart", 2.5),
            Target(64, "tomada", "pyzmq-asyncio", 2.5),
            Target(64, "tomada", "grpcio", 25),
            Target(1000, "tomada", "pyzmq", 2.5),
            Target(1000, "tomada", "pyzmq-multipart", 2.5),
            Target(1000, "tomada", "pyzmq-asyncio", 2.5),
            Target(64, "tomada-tls", "tomada", 0.75),
            Target(1, "tomada-unix", "tomada", 1.1),
            Target(64, "tomada-unix", "tomada", 1.1),
        ),
    ),
    Suite(
        "sessions",
        "{:,} in flight",
        "replies/s",
        {1: "sessions-off", 64: "sessions-off", 1000: "sessions-off"},
        (
            Contender("sessions-on", "tomada_async", ("tomada", "uvloop")),
            Contender("sessions-off", "tomada_sessionless", ("tomada", "uvloop")),
        ),
        tuple(Target(load, "sessions-on", "sessions-off", 0.9) for load in (1, 64, 1000)),
    ),
    Suite(
        "telemetry",
        "{:,} in flight",
        "replies/s",
        {64: "telemetry-off", 1000: "telemetry-off"},
        (
            Contender("telemetry-off", "telemetry_off", ("tomada", "uvloop")),
            Contender("telemetry-subscribed", "telemetry_subscribed", ("tomada", "uvloop")),
            Contender("telemetry-recording", "telemetry_recording", ("tomada", "uvloop")),
            Contender("telemetry-metered", "telemetry_metered", ("tomada", "uvloop")),
            Contender(
                "telemetry-dashboard",
                "telemetry_dashboard",
                ("tomada", "uvloop", "starlette", "uvicorn", "tomada.dashboard.__main__"),
            ),
        ),
        tuple(
            Target(load, f"telemetry-{watched}", "telemetry-off", bound)
            for load in (64, 1000)
            for watched, bound in (("subscribed", 0.9), ("recording", 0.7), ("metered", 0.95), ("dashboard", 0.95))
        ),
    ),
    Suite(
        "oneway",
        "one way, {:,} connection",
        "messages/s",
        {1: "pyzmq-push"},
        (
            Contender("oneway-tomada", "oneway_tomada", ("tomada", "uvloop")),
            Contender("oneway-sessionless", "oneway_sessionless", ("tomada", "uvloop")),
            Contender("oneway-received", "oneway_received", ("tomada", "uvloop")),
            Contender("pyzmq-push", "oneway_zeromq", ("zmq",)),
            Contender("pyzmq-push-unbounded", "oneway_zeromq_unbounded", ("zmq",)),
        ),
        (
            # pyzmq in two forms: bounded, as ZeroMQ is by itself and tomada always, and without any bound.
            Target(1, "oneway-tomada", "pyzmq-push", 1.3),
            Target(1, "oneway-tomada", "pyzmq-push-unbounded", 1.3),
        ),
    ),
    Suite(
        "connections",
        "{:,} at a time, one exchange each",
        "connections/s",
        {16: "connections-uvloop"},
        (
            Contender("connections-tomada", "connections_tomada", ("tomada", "uvloop")),
            Contender("connections-uvloop", "connections_protocol", ("uvloop",)),
        ),
        (Target(16, "connections-tomada", "connections-uvloop", 0.6),),
    ),
    Suite(
        "children",
        "{:,} client, a process per connection",
        "connections/s",
        {1: "forking"},
        (*_FORKING, Contender("children-tomada-100", "children_tomada_100", ("tomada", "uvloop"))),
        (Target(1, "children-tomada", "forking", 1), Target(1, "children-tomada-100", "forking", 5)),
        pinned=False,
    ),
    Suite(
        "promptness",
        "{:,} connections/s, a process each",
        "per second of the median",
        {100: "forking"},
        _FORKING,
        (Target(100, "children-tomada", "forking", 3),),
        pinned=False,
    ),
    Suite(
        "inside",
        "{:,} in flight",
        "replies/s",
        {64: "inside-task"},
        (
            Contender("inside-child", "inside_child", ("tomada", "uvloop")),
            Contender("inside-task", "tomada_async", ("tomada", "uvloop")),
        ),
        (Target(64, "inside-child", "inside-task", 0.9),),
    ),
    Suite(
        "websocket",
        "{:,} in flight, WebSocket",
        "replies/s",
        {1: "websockets", 64: "websockets", 1000: "websockets"},
        (
            Contender("tomada-websocket", "tomada_websocket", ("tomada", "uvloop", "websockets")),
            Contender("websockets", "websockets_json", ("websockets", "uvloop")),
            Contender("picows", "picows_echo", ("picows", "uvloop")),
        ),
        (Target(64, "tomada-websocket", "websockets", 3), Target(64, "tomada-websocket", "picows", 0.5)),
    ),
    Suite(
        "echo",
        "{:,} connections, 64 B",
        "echoes/s",
        {1: "protocol", 100: "protocol"},
        (
            Contender("tomada-stream", "echo_tomada", ("tomada", "uvloop")),
            Contender("protocol", "echo_protocol", ("uvloop",)),
            Contender("asyncio-streams", "echo_streams", ("uvloop",)),
            Contender("easynetwork", "echo_easynetwork", ("easynetwork", "uvloop")),
            Contender("easynetwork-lines", "echo_easynetwork_lines", ("easynetwork", "uvloop")),
        ),
        (
            Target(1, "tomada-stream", "protocol", 0.8),
            Target(100, "tomada-stream", "protocol", 0.55),
            Target(100, "tomada-stream", "asyncio-streams", 1.2),
            # EasyNetwork in two forms: with the least that a packet can be, and as its guide writes it.
            Target(100, "tomada-stream", "easynetwork", 2),
            Target(100, "tomada-stream", "easynetwork-lines", 2),
        ),
    ),
    Suite(
        "bulk",
        "{:,} stream, 1 MiB chunks",
        "MB/s",
        {1: "iperf3"},
        (
            Contender("tomada-bulk", "bulk_tomada", ("tomada", "uvloop")),
            Contender("iperf3", "bulk_iperf3", ("iperf3",)),
        ),
        (Target(1, "tomada-bulk", "iperf3", 0.6),),
    ),
    Suite(
        "files",
        "{:,} file of 1 GiB",
        "MB/s",
        {1: "nginx"},
        (
            Contender("tomada-files", "files_tomada", ("tomada", "uvloop")),
            Contender("nginx", "files_nginx", ("nginx",)),
            Contender("pyftpdlib", "files_pyftpdlib", ("pyftpdlib",)),
        ),
        (Target(1, "tomada-files", "nginx", 0.95), Target(1, "tomada-files", "pyftpdlib", 0.95)),
    ),
    Suite(
        "streams",
        "one stream, chunks of {:,} B",
        "MB/s",
        {65_536: "chunks-streams", 16_384: "chunks-streams"},
        (
            Contender("chunks-tomada", "chunks_tomada", ("tomada", "uvloop")),
            Contender("chunks-streams", "chunks_streams", ("uvloop",)),
            Contender("chunks-protocol", "chunks_protocol", ("uvloop",)),
        ),
        (
            # asyncio in two forms: a receiver that is given whole chunks, as tomada's is, and one that only counts.
            Target(65_536, "chunks-tomada", "chunks-streams", 0.7),
            Target(16_384, "chunks-tomada", "chunks-streams", 0.7),
            Target(65_536, "chunks-tomada", "chunks-protocol", 0.7),
            Target(16_384, "chunks-tomada", "chunks-protocol", 0.7),
        ),
    ),
    Suite(
        "items",
        "{:,} stream of small items",
        "items/s",
        {1: "items-tomada"},
        (Contender("items-tomada", "items_tomada", ("tomada", "uvloop")),),
        (),
    ),
    Suite(
        "datagrams",
        "one way, {:,} B",
        "datagrams/s",
        {64: "datagrams-uvloop"},
        (
            Contender("datagrams-tomada", "datagrams_tomada", ("tomada", "uvloop")),
            Contender("datagrams-uvloop", "datagrams_protocol", ("uvloop",)),
            Contender("datagrams-asyncio", "datagrams_asyncio"),
        ),
        (
            Target(64, "datagrams-tomada", "datagrams-uvloop", 8),
            Target(64, "datagrams-tomada", "datagrams-asyncio", 8),
        ),
    ),
    Suite(
        "trace",
        "{:,} at a time",
        "exchanges/s",
        {1: "untraced", 16: "http"},
        (
            Contender("traced", "traced_socket", ("tomada",), loads=(1,)),
            Contender("untraced", "raw_socket", loads=(1,)),
            Contender("http-traced", "http_traced", ("tomada",), loads=(16,)),
            Contender("http", "http_untraced", loads=(16,)),
        ),
        # The worst that it can cost, calls and nothing else, and a program that does something between its calls.
        (Target(1, "traced", "untraced", 0.3), Target(16, "http-traced", "http", 0.5)),
    ),
)

CONTENDERS: Final = {contender.name: contender for suite in SUITES for contender in suite.contenders}
