"""Words by a model on this machine: a GGUF file in llama.cpp, each context with a thread of its own.

A context writes one line at a time; what comes meanwhile waits, and what would wait too long is refused, so that
another engine writes it. It knows the queue, deadlines and what ends a line. How a prompt is laid out is in
scaffold.py, how llama.cpp is spoken to in gguf.py, what a schema and a tool are to it in grammar.py and calls.py.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from app.core import engines
from app.core.clock import Deadline
from app.core.errors import EngineDown, Overloaded
from app.core.ports import EngineStatus
from app.core.words import Completion, Usage, WordsEnd, WordsEvent, WordsStart
from app.engines import wire
from app.engines.llama import calls, gguf, grammar
from app.engines.llama.scaffold import Answer, Scribe

CLOSE_S = 5.0
"""The longest that closing waits for the token that is being made."""
RECENT_SHARE = 0.3
"""Of the newest line in what a line is thought to take."""
Reason = Literal["stop", "length", "tools"]


class _Job:
    """One completion on its way through the worker; made on the loop that reads its events."""

    def __init__(self, completion: Completion, deadline: Deadline) -> None:
        self.completion, self.deadline = completion, deadline
        self.events: asyncio.Queue[WordsEvent | None] = asyncio.Queue()  # bounded by output_tokens_max
        self.gone = threading.Event()
        self.loop = asyncio.get_running_loop()
        self.error: BaseException | None = None
        self.whose = (completion.tenant, completion.world, completion.npc)

    def check(self, name: str) -> None:
        """Raise when nobody waits any longer."""
        if self.gone.is_set():
            raise EngineDown(f"a line of {name} was left", hint="its reader closed it, or the server is stopping")
        self.deadline.check(f"a line of {name}")

    def send(self, event: WordsEvent) -> None:
        """Give the event to the reader; called by the worker."""
        self.loop.call_soon_threadsafe(self.events.put_nowait, event)

    def fail(self, error: BaseException | None) -> None:
        """End the line for its reader, with what went wrong; called on the loop."""
        self.error = error
        self.events.put_nowait(None)


@dataclass(slots=True)
class _Slot:
    """One context and its thread; `last` is whose line it wrote last, which it goes on with soonest."""

    worker: ThreadPoolExecutor
    context: gguf.Context | None = None
    job: _Job | None = None
    last: tuple[str, str, str] = ("", "", "")
    used: int = 0


class Llama:
    """One model and its contexts behind a bounded queue, on one event loop. Use `open_llama` to make one."""

    def __init__(self, name: str, path: Path, bounds: gguf.Bounds, *, jobs_max: int) -> None:
        self.name = name
        self._path, self._bounds, self._jobs_max = path, bounds, jobs_max
        self._slots = [
            _Slot(ThreadPoolExecutor(1, thread_name_prefix=f"{name}-{row}")) for row in range(bounds.contexts_max)
        ]
        self._waiting: deque[_Job] = deque()
        self._loading = threading.Lock()
        self._loaded: tuple[gguf.Model, Scribe] | None = None
        self._line_s = 0.0
        """What a line takes, by the lines so far."""
        self._served = 0
        self._trouble = ""
        self._closed = False

    def status(self) -> EngineStatus:
        """What runs; degraded after a failure, and where layers were asked of a GPU that is not used."""
        detail, mend, loaded = self._trouble, "", self._loaded
        provider = "" if loaded is None else "gpu" if loaded[0].on_gpu else "cpu"
        if not detail and provider == "cpu" and self._bounds.gpu_layers_max:
            detail = "this llama.cpp was built without a GPU"
            mend = "CMAKE_ARGS=-DGGML_CUDA=on uv sync --extra llama --reinstall-package llama-cpp-python"
        state: Literal["ready", "degraded"] = "degraded" if detail else "ready"
        return EngineStatus(
            name=self.name,
            kind="llama",
            state=state,
            asked=(self._path.name,),
            provider=provider,
            detail=detail or ("" if loaded else "is loaded before its first line"),
            mend=mend,
        )

    def most(self, completion: Completion) -> Usage:
        """Tokens only: nobody is paid for them, and a cap on tokens counts them all the same."""
        return Usage(tokens_in=wire.tokens_most(completion), tokens_out=completion.output_tokens_max)

    def estimate(self, completion: Completion, written: str) -> Usage:
        """Tokens of a line that was cut off."""
        texts = [part.text for part in completion.parts] + [turn.text for turn in completion.turns]
        return Usage(tokens_in=sum(map(wire.tokens_guess, texts)), tokens_out=wire.tokens_guess(written))

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """See app.core.words.Words; raises Overloaded when too many wait. Closing the iterator ends it in a token."""
        job = self._enter(completion, deadline)
        try:
            while (event := await wire.within(job.events.get(), deadline, f"a line of {self.name}")) is not None:
                yield event
            if job.error is not None:
                raise job.error
        finally:
            job.gone.set()
            if job in self._waiting:
                self._waiting.remove(job)

    async def close(self) -> None:
        """End what runs within a token and free the model; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        waiting = [*self._waiting]
        self._waiting.clear()
        for job in waiting:
            job.fail(EngineDown(f"engine {self.name!r} is closed", hint="the server is stopping"))
        for slot in self._slots:
            if slot.job is not None:
                slot.job.gone.set()
        freed = [asyncio.wrap_future(slot.worker.submit(self._free, slot)) for slot in self._slots]
        for slot in self._slots:
            slot.worker.shutdown(wait=False)
        _, late = await asyncio.wait(freed, timeout=CLOSE_S)
        if self._loaded is not None and not late:
            self._loaded[0].free()
            self._loaded = None

    def _enter(self, completion: Completion, deadline: Deadline) -> _Job:
        if self._closed:
            raise EngineDown(f"engine {self.name!r} is closed", hint="the server is stopping")
        deadline.check(f"a line of {self.name}")
        job = _Job(completion, deadline)
        self._require_room(job)
        self._waiting.append(job)
        self._dispatch()
        return job

    def _require_room(self, job: _Job) -> None:
        """Raise Overloaded where the line would not be begun in the time that its caller has."""
        running = [slot for slot in self._slots if slot.job is not None]
        jobs = len(running) + len(self._waiting)
        wait_s = self._line_s * (len(self._waiting) + 1) / len(self._slots) if len(running) == len(self._slots) else 0.0
        first_ms = job.completion.first_token_ms
        patience_s = min(job.deadline.left_s(), float("inf") if first_ms is None else first_ms / 1000.0)
        if jobs >= self._jobs_max or wait_s > patience_s:
            raise Overloaded(
                f"engine {self.name!r} has {jobs} lines to write", retry_after_s=max(1.0, self._line_s), hint="see its"
                " contexts_max and jobs_max",
            )  # fmt: skip

    def _dispatch(self) -> None:
        """Give what waits to the contexts that are free: best to the one that wrote for the same NPC."""
        free = [slot for slot in self._slots if slot.job is None]
        while self._waiting and free and not self._closed:
            job = self._waiting.popleft()
            slot = min(free, key=lambda slot: (slot.last != job.whose, slot.used))
            free.remove(slot)
            self._served += 1
            slot.job, slot.last, slot.used = job, job.whose, self._served
            work = slot.worker.submit(self._work, slot, job)
            work.add_done_callback(lambda work, slot=slot: self._ended(slot, work))  # type: ignore[misc]  # mypy cannot infer a lambda with a default

    def _ended(self, slot: _Slot, work: Future[float]) -> None:
        """Called by the worker."""
        job = slot.job
        if job is not None and not job.loop.is_closed():
            job.loop.call_soon_threadsafe(self._settle, slot, job, work)

    def _settle(self, slot: _Slot, job: _Job, work: Future[float]) -> None:
        slot.job = None
        error = work.exception()
        if error is None:
            took_s = work.result()
            self._line_s += (took_s - self._line_s) * (RECENT_SHARE if self._line_s else 1.0)
        job.fail(error)
        self._dispatch()

    # From here on: in a worker.

    def _work(self, slot: _Slot, job: _Job) -> float:
        """Write the line; returns how many seconds it took."""
        began_s = time.monotonic()
        job.check(self.name)
        try:
            context, scribe = self._load(slot)
            began_s = time.monotonic()
            self._write(job, context, scribe)
        except EngineDown as error:
            if not job.gone.is_set() and error.failure != "refused":
                self._trouble = error.message
            raise
        self._trouble = ""
        return time.monotonic() - began_s

    def _load(self, slot: _Slot) -> tuple[gguf.Context, Scribe]:
        with self._loading:
            if self._loaded is None:
                model = gguf.Model(self._path, self._bounds)
                self._loaded = model, Scribe(model)
            model, scribe = self._loaded
        if slot.context is None:
            slot.context = gguf.Context(model)
        return slot.context, scribe

    def _write(self, job: _Job, context: gguf.Context, scribe: Scribe) -> None:
        """Read the prompt, draw the answer, and look between tokens whether anybody still waits."""
        completion = job.completion
        prompt = scribe.tokens(completion)
        if len(prompt) + completion.output_tokens_max > context.tokens_max:
            raise EngineDown(
                f"{self.name} holds {context.tokens_max} tokens, not {len(prompt)} and {completion.output_tokens_max}",
                hint=f"raise engines.{self.name}.context_tokens_max, or lower modules.dialogue.context_tokens_max",
                failure="refused",
            )
        rules = _rules(completion)
        job.send(WordsStart(engine=self.name, model=self._path.stem))
        cached = context.keep(prompt)
        for start in range(cached, len(prompt), context.step_tokens_max):
            job.check(self.name)
            context.read(prompt[start : start + context.step_tokens_max])
        reason, drawn = self._draw(job, context, scribe, rules)
        usage = Usage(tokens_in=len(prompt), tokens_out=drawn, cached_tokens_in=cached)
        job.send(WordsEnd(reason=reason, usage=usage))

    def _draw(self, job: _Job, context: gguf.Context, scribe: Scribe, rules: str) -> tuple[Reason, int]:
        """Send the answer as it is drawn; returns why it ended and how many tokens it took."""
        completion = job.completion
        answer = Answer((*scribe.scaffold.stops, *completion.sampling.stop))
        teller = calls.Caller(calls.offered(completion))
        reason: Reason = "length"
        drawn, most = 0, completion.output_tokens_max
        with context.drawing(seed=completion.seed, sampling=completion.sampling, grammar=rules) as draw:
            while drawn < most and reason == "length":
                job.check(self.name)
                token = draw()
                drawn += 1
                if scribe.ends(token):
                    reason = "stop"
                    break
                self._say(job, teller.feed(answer.feed(scribe.text(token))))
                if answer.stopped:
                    reason = "stop"
                elif drawn < most:
                    context.read([token])
        self._say(job, teller.feed(answer.flush()))
        self._say(job, teller.flush())
        return ("tools" if teller.called and reason == "stop" else reason), drawn

    def _say(self, job: _Job, events: Iterator[WordsEvent]) -> None:
        for event in events:
            job.send(event)

    def _free(self, slot: _Slot) -> None:
        if slot.context is not None:
            slot.context.free()
            slot.context = None


def _rules(completion: Completion) -> str:
    """The grammar that the answer is held to; empty where it is free speech."""
    tools = calls.offered(completion)
    if tools:
        return calls.grammar(tools, must=completion.tool_choice != "auto")
    return "" if completion.schema is None else grammar.from_schema(completion.schema)


def open_llama(name: str, spec: engines.Llama) -> Llama:
    """An engine over the GGUF that `spec` names, which is loaded before the first line is written, not now.

    Raises ModuleNotFoundError when llama-cpp-python is not installed, EngineDown when the file is no whole GGUF or is
    larger than the machine's memory.
    """
    if find_spec("llama_cpp") is None:
        raise ModuleNotFoundError("No module named 'llama_cpp'", name="llama_cpp")
    bounds = gguf.Bounds(spec.context_tokens_max, spec.gpu_layers_max, spec.threads_max, spec.contexts_max)
    gguf.check(Path(spec.file), bounds)
    return Llama(name, Path(spec.file), bounds, jobs_max=spec.jobs_max)
