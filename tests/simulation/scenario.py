"""How one world is: how many there are, how much they say, over what network, and how much goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from random import Random

import tomada
from tests.simulation import face
from tests.simulation.kernel import Path

LARGE_EVERY = 50
"""One seed of so many has 64 clients; the others have few, so that many can be run."""


@dataclass(frozen=True)
class Scenario:
    """All that is drawn once per world."""

    clients: int
    sessions: bool
    """Whether clients want sessions, where there are any."""
    is_durable: bool
    """Whether the server keeps them in a store that outlives its process."""
    keep: float
    """For how long the server keeps a session without a connection, in seconds."""
    messages: int
    """How many each client sends and asks, about."""
    pushes: int
    """How many the server sends to each connection."""
    pause: float
    """Seconds between two of one task, on average."""
    big: float
    """The share of messages that may be long."""
    longest: int
    slow: float
    """How often a reader that has received rests."""
    limits: tomada.Limits
    deadlines: tomada.Deadlines
    faults: float
    """How many faults there are per client."""
    faults_until: float
    patience: float
    """Every call ends within so many seconds."""
    latency: float
    bandwidth: float
    pace: float

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """What this seed stands for."""
        chance = Random(f"{seed} scenario")
        is_large = seed % LARGE_EVERY == LARGE_EVERY - 1
        buffer_bytes = chance.choice((4_096, 32_768, 1_048_576))
        longest = chance.choice((5_000, 200_000))
        bandwidth = chance.choice((50_000.0, 1e6, 1e9))
        return cls(
            clients=64 if is_large else chance.randint(1, 6),
            sessions=(is_durable := seed % 2 == 1) or chance.random() < 0.7,
            is_durable=is_durable,
            keep=chance.choice((3.0, 20.0, 20.0)),
            messages=chance.randint(3, 8) if is_large else chance.randint(5, 25),
            pushes=chance.choice((0, 5, 15)),
            pause=chance.choice((0.01, 0.3, 1.0)),
            big=chance.choice((0.0, 0.05, 0.2)),
            longest=longest,
            slow=chance.choice((0.0, 0.0, 0.5)),
            limits=face.limits(
                frame_bytes=chance.choice((1_024, 4_096, 65_536)),
                buffer_bytes=buffer_bytes,
                # Where much waits before it, each credit takes its time.
                stream_bytes=chance.choice((1_024, 16_384, 524_288) if buffer_bytes < 1_000_000 else (524_288,)),
                requests=chance.choice((2, 8, 4_096)),
                handlers=chance.choice((1, 4, 1_024)),
                waiting=chance.choice((2, 16, 4_096)),
            ),
            deadlines=tomada.Deadlines(
                connect=2.0, handshake=3.0, frame=10.0, heartbeat=4.0, idle=60.0, progress=10.0, drain=5.0, turn=inf
            ),
            faults=chance.choice((0.0, 1.0, 3.0, 6.0)),
            faults_until=chance.choice((10.0, 30.0)),
            # What waits on a slow link takes its time.
            patience=90.0 + 4 * (buffer_bytes + 10 * longest) / bandwidth,
            latency=chance.choice((0.0002, 0.01, 0.1)),
            bandwidth=bandwidth,
            pace=chance.choice((0.0, 0.0001, 0.005)),
        )

    def path(self, chance: Random) -> Path:
        """One direction between two hosts."""
        least = self.latency * chance.random()
        piece = chance.choice((1_460, 65_536))
        if self.longest < 10_000 and chance.random() < 0.1:
            piece = chance.choice((1, 17))  # it costs much of the simulation's own time
        bandwidth = self.bandwidth * chance.uniform(0.5, 1.0)
        return Path((least, least + self.latency * chance.random()), bandwidth, piece)
