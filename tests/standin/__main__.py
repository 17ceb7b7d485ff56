"""The stand-in in a process of its own, for benchmarks: `python -m tests.standin --port 0 --preset eighteen`.

The first line that it prints is its ports, the first of them the one to talk to; with `--count` there are as many
stand-ins, each with a port. The last port takes orders: `POST /` with `{"at": 0, "fault": "cut", "wait_s": 0.005}`
changes a stand-in, `{"preset": "goes_on"}` what all of them say; the answer tells how often each was asked so far. It
ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from contextlib import AsyncExitStack

from tests.standin import connection as http
from tests.standin.connection import Arrived, Connection
from tests.standin.lines import EIGHTEEN, begins_again, goes_on, tales
from tests.standin.server import Standin

PRESETS = {
    "eighteen": (begins_again(EIGHTEEN), True),
    "goes_on": (goes_on(EIGHTEEN), False),
    "tales": (tales(), False),
}
"""What is said, and whether it is said cheaply."""


class Orders:
    """Whoever runs the benchmark changes the stand-ins through this."""

    def __init__(self, standins: list[Standin]) -> None:
        self._standins = standins
        self._tasks: set[asyncio.Task[None]] = set()

    def accepted(self, connection: Connection) -> None: ...

    def left(self, connection: Connection, *, midway: bool) -> None: ...

    def asked(self, connection: Connection, arrived: Arrived) -> None:
        task = asyncio.ensure_future(self._obey(connection, arrived.payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, connection: Connection, payload: bytes) -> None:
        order = json.loads(payload or b"{}")
        standin = self._standins[order.pop("at", 0)]
        if (preset := order.pop("preset", None)) is not None:
            for each in self._standins:
                each.say, each.encoded = PRESETS[preset]
        fault = order.pop("fault", None)
        if fault is not None:
            await standin.become(fault)
        for name in ("wait_s", "delay_s"):
            setattr(standin, name, float(order.pop(name, getattr(standin, name))))
        assert not order, f"unknown orders {sorted(order)}"
        told = {"asked": [each.asked_total for each in self._standins], "redirected": standin.redirected}
        connection.write(http.whole(200, json.dumps(told).encode(), {"content-type": "application/json"}))
        connection.finish()


async def serve(port: int, preset: str, count: int) -> None:
    """Run until the standard input ends."""
    say, encoded = PRESETS[preset]
    async with AsyncExitStack() as stack:
        standins = [
            await stack.enter_async_context(Standin(say=say, encoded=encoded, port=port + at if port else 0))
            for at in range(count)
        ]
        orders = Orders(standins)
        loop = asyncio.get_running_loop()
        control = await loop.create_server(lambda: Connection(orders), "127.0.0.1", 0)
        ports = [*(each.port for each in standins), control.sockets[0].getsockname()[1]]
        sys.stdout.write(" ".join(map(str, ports)) + "\n")
        sys.stdout.flush()
        gc.freeze()
        await loop.run_in_executor(None, sys.stdin.buffer.read)
        control.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.standin")
    parser.add_argument("--port", type=int, default=0, help="of the first stand-in; 0 takes any that is free")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="eighteen", help="what they say")
    parser.add_argument("--count", type=int, default=1, help="how many stand-ins")
    options = parser.parse_args()
    run = asyncio.run
    if sys.platform != "win32":
        import uvloop

        run = uvloop.run
    run(serve(options.port, options.preset, options.count))


if __name__ == "__main__":
    main()
