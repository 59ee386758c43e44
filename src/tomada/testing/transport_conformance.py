"""One suite for every transport of byte streams: tomada's own, and those of others.

It needs no plugin; a test module with these lines is enough, and pytest runs it::

    from tomada.testing.transport_conformance import TransportConformance


    class TestMine(TransportConformance):
        def address(self) -> str:
            return "tcp://127.0.0.1:0"
"""

from __future__ import annotations

from tomada.testing.conformance.delivery import Delivery
from tomada.testing.conformance.endings import Endings
from tomada.testing.conformance.waiting import Waiting

__all__ = ["TransportConformance"]


class TransportConformance(Delivery, Waiting, Endings):
    """What a transport must do, as tests: subclass it, name the subclass ``Test…`` and give it an `address`.

    Order, large transfers and small ones, pieces of any size, senders at once; half close, close, abort, and both ends
    knowing; back-pressure with bounded memory; deadlines and cancellation of every wait, without a byte lost; an
    address in use, and one where nobody listens.

    A transport that tomada does not know overrides `listen` and `connect`. Each test runs on a loop of its own, made by
    `new_event_loop`, within `longest` seconds, and fails with an `AssertionError` that says what is wrong; it fails as
    well where tasks are left behind, or the loop's exception handler was called.
    """
