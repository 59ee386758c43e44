"""Two of the oldest services, over UDP and TCP: echo (RFC 862) and time (RFC 868).

::

    tomada serve examples/classics/udp_time_echo.py
    echo hello | nc -u -W 1 127.0.0.1 7007                  # -W 1: until one datagram has come
    echo | nc -u -W 1 127.0.0.1 3737 | od -A n -t u4 --endian=big

Their own ports, 7 and 37, are system ports. A UDP service must expect that a datagram's sender is forged. An echo that
answers another echo would go on with it for ever, so services are not answered; and what is answered must not be much
longer than what was asked, or it helps to flood the one whose address was forged.
"""

import os
import time

import tomada

ECHO = os.environ.get("ECHO", "127.0.0.1:7007")
TIME = os.environ.get("TIME", "127.0.0.1:3737")
OWN_PORTS = {int(place.rpartition(":")[2]) for place in (ECHO, TIME)}
FROM_1900_TO_1970 = 2_208_988_800  # seconds
FIRST_FREE_PORT = 1024

app = tomada.App("time-echo")


@app.datagram(f"udp://{ECHO}")
async def echo_datagram(datagram: bytes, peer: tomada.DatagramPeer) -> None:
    """Send it back."""
    if not is_service(peer):
        peer.reply(datagram)


@app.stream(f"tcp://{ECHO}")
async def echo_stream(stream: tomada.Stream) -> None:
    """Send all back, until the client has sent all."""
    async for chunk in stream:
        await stream.send(chunk)


# An unverified peer may be sent three times what it has sent, and of an empty datagram four bytes are more than that.
# With the headers it is 32 bytes for 28: no help to anybody who forges addresses, so here they are trusted.
@app.datagram(f"udp://{TIME}", trusted=True)
async def tell_time(_: bytes, peer: tomada.DatagramPeer) -> None:
    """Answer whatever comes with the time."""
    if not is_service(peer):
        peer.reply(now())


@app.stream(f"tcp://{TIME}")
async def send_time(stream: tomada.Stream) -> None:
    """Send the time and close."""
    await stream.send(now())


def now() -> bytes:
    """The seconds since 1900, in 32 bits; they begin anew in 2036."""
    return ((int(time.time()) + FROM_1900_TO_1970) & 0xFFFFFFFF).to_bytes(4)


def is_service(peer: tomada.DatagramPeer) -> bool:
    """Whether it comes from where services answer: from a system port, or one like this program's own."""
    port = peer.address.port or 0
    return port < FIRST_FREE_PORT or port in OWN_PORTS
