"""One request at a door while it is answered: what the log will tell of it, and what of the words was sent already.

Pieces that are there at once leave together. It knows words' events and a protocol's face.
"""

from __future__ import annotations

import asyncio

from litestar.types import Receive

from app.core.words import Completion, WordsDelta, WordsEnd, WordsEvent, WordsStart, WordsToolDelta
from app.edge.doors.face import Face, Whole
from app.edge.doors.reply import Reply


class Turn:
    """One request, as the log tells it."""

    __slots__ = ("cost_nano_usd", "engine", "face", "reply", "tenant", "tokens", "world")

    def __init__(self, face: Face, reply: Reply) -> None:
        self.face = face
        self.reply = reply
        self.tenant = self.world = self.engine = ""
        self.tokens = self.cost_nano_usd = 0

    def bill(self, completion: Completion) -> None:
        for spent in completion.bill.items if completion.bill is not None else ():
            self.tokens += spent.usage.tokens_in + spent.usage.tokens_out
            self.cost_nano_usd += spent.usage.cost_nano_usd


class Speech:
    """What the words have said so far, and of it what the client has not been sent."""

    __slots__ = ("_begun", "_receive", "_reply", "_watcher", "_whole", "buffer", "finished")

    def __init__(self, whole: Whole, reply: Reply, receive: Receive) -> None:
        self._whole = whole
        self._reply = reply
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self._begun = False
        self.buffer: list[bytes] = []
        self.finished = False

    def keep(self, event: WordsEvent) -> None:
        """Take an event for an answer that is sent whole."""
        whole = self._whole
        match event:
            case WordsDelta(text=text):
                whole.texts.append(text)
            case WordsToolDelta(index=index, id=id, name=name, arguments=arguments):
                call = whole.calls.setdefault(index, ["", "", ""])
                call[0] = call[0] or id
                call[1] = call[1] or name
                call[2] += arguments
            case WordsStart(engine=engine, model=model):
                whole.engine, whole.model = engine, model
            case WordsEnd(reason=reason, usage=usage):
                whole.reason, whole.usage = reason, usage
                self.finished = True

    def stream(self, event: WordsEvent) -> None:
        """Take an event for an answer that is sent in pieces."""
        if isinstance(event, WordsDelta):
            self.begun()
            self.buffer.append(self._reply.writer.text(event.text))  # type: ignore[union-attr]  # a stream has one
        elif isinstance(event, WordsToolDelta):
            self.begun()
            call = self._reply.writer.call  # type: ignore[union-attr]  # as above
            self.buffer.append(call(event.index, event.id, event.name, event.arguments))
        else:
            self.keep(event)

    def begun(self) -> None:
        """Put the first event of the stream before everything else, once: until then nothing is promised."""
        if not self._begun:
            self._begun = True
            trace, whole = self._reply.trace, self._whole
            trace.engine = trace.engine or whole.engine
            self.buffer.append(self._reply.writer.start(whole.model))  # type: ignore[union-attr]  # as above

    async def flush(self) -> None:
        """Send what there is; and from the first wait on, notice when the client leaves."""
        if self._watcher is None:
            task = asyncio.current_task()
            self._watcher = asyncio.create_task(self._watch(task), name="door client")
        while self.buffer:
            ready = b"".join(self.buffer)
            self.buffer.clear()
            await self._reply.push(ready)

    def stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self, task: asyncio.Task[object] | None) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._reply.gone = True
        if task is not None:
            task.cancel()
