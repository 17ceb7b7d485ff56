"""Clients that take their time, as slowhttptest does it: with their headers, with their body, with reading.

Each holds a few dozen connections and drips. It says how many the server ended within its caps.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from app.cli.prove.contract import raw

DRIP_S = 0.2
READ_BYTES = 64
RECEIVED_BYTES = 4_096
"""What the kernel takes for a client before it tells the server to wait."""


def still_held(
    port: int,
    modes: Sequence[tuple[bytes, bytes]],
    *,
    each: int,
    for_s: float,
    held: Callable[[], int],
    serves: Callable[[], bool],
) -> tuple[int, int]:
    """(descriptors that the server still holds for them after `for_s`, how often another was not served meanwhile).

    `modes` are (what is sent at once, what is dripped); `each` has as many connections.

    What a client sees tells less: its kernel shows it the connection until all that was sent before is read.
    """
    before = held()
    with ExitStack() as stack:
        clients = [(stack.enter_context(_connection(port)), head, drip) for head, drip in [*modes] * each]
        for one, head, _ in clients:
            with suppress(OSError):
                one.sendall(head)
        missed = 0
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s:
            for one, _, drip in clients:
                _drip(one, drip)
            missed += not serves()
            time.sleep(DRIP_S)
        return max(0, held() - before), missed


def _connection(port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
    one.settimeout(raw.WAIT_S_MAX)
    one.connect((raw.HOST, port))
    one.setblocking(False)
    return one


def _drip(one: socket.socket, drip: bytes) -> None:
    """Send a little more, and read a little."""
    with suppress(OSError):
        one.send(drip)
        one.recv(READ_BYTES)
