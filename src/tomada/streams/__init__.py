"""Byte streams: the whole connection in the hands of one handler, for any protocol.

May import: `tomada.transports` and what is below. Read `stream.py` first: what users hold. `flow.py` is what the event
loop calls, with `inflow.py` and `outflow.py` as its two halves; `buffer.py` keeps what has come and knows no I/O;
`blocking.py` is the face for threads.
"""

from tomada.streams.framing import Frames, LengthPrefix, u8, u16, u32, u64
from tomada.streams.stream import Stream

__all__ = ["Frames", "LengthPrefix", "Stream", "u8", "u16", "u32", "u64"]
