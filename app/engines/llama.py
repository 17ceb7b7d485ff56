"""Words by a model on this machine: a GGUF file in llama.cpp, one completion at a time, in a thread of its own.

It knows the queue before the context, deadlines and what ends a line. How a prompt is laid out is in
app/engines/scaffold.py, how llama.cpp is spoken to in app/engines/gguf.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from app.core.clock import Deadline
from app.core.errors import EngineDown, Overloaded
from app.core.ports import EngineStatus
from app.core.words import Completion, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines import gguf, wire
from app.engines.scaffold import Answer, Scribe

JOBS_MAX = 8
"""Completions that wait or run; one more would not be served in time."""
CLOSE_S = 5.0
"""The longest that closing waits for the token that is being made."""


class _Job:
    """One completion on its way through the worker; made on the loop that reads its events."""

    def __init__(self, completion: Completion, deadline: Deadline) -> None:
        self.completion, self.deadline = completion, deadline
        self.events: asyncio.Queue[WordsEvent | None] = asyncio.Queue()  # bounded by output_tokens_max
        self.gone = threading.Event()
        self.loop = asyncio.get_running_loop()

    def check(self, name: str) -> None:
        """Raise when nobody waits any longer."""
        if self.gone.is_set():
            raise EngineDown(f"a line of {name} was left", hint="its reader closed it, or the server is stopping")
        self.deadline.check(f"a line of {name}")

    def send(self, event: WordsEvent | None) -> None:
        """Give the event to the reader; called by the worker."""
        self.loop.call_soon_threadsafe(self.events.put_nowait, event)


class Llama:
    """One model and one context behind a bounded queue. Use `open_llama` to make one."""

    def __init__(self, name: str, path: Path, bounds: gguf.Bounds) -> None:
        self.name = name
        self._path, self._bounds = path, bounds
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._jobs: set[_Job] = set()
        self._loaded: tuple[gguf.Context, Scribe] | None = None
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
        tokens_in = sum(wire.tokens_guess(part.text) for part in completion.parts)
        return Usage(tokens_in=tokens_in, tokens_out=wire.tokens_guess(written))

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """See app.core.ports.Words; raises Overloaded when too many wait. Closing the iterator ends it in a token."""
        job = self._enter(completion, deadline)
        work = self._worker.submit(self._work, job)
        work.add_done_callback(lambda _: job.send(None))
        try:
            while (event := await wire.within(job.events.get(), deadline, f"a line of {self.name}")) is not None:
                yield event
            work.result()
        finally:
            job.gone.set()
            work.cancel()
            work.add_done_callback(lambda _: job.loop.call_soon_threadsafe(self._jobs.discard, job))

    async def close(self) -> None:
        """End what runs within a token and free the model; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        for job in self._jobs:
            job.gone.set()
        freed = asyncio.wrap_future(self._worker.submit(self._free))
        self._worker.shutdown(wait=False)
        await asyncio.wait({freed}, timeout=CLOSE_S)

    def _enter(self, completion: Completion, deadline: Deadline) -> _Job:
        if self._closed:
            raise EngineDown(f"engine {self.name!r} is closed", hint="the server is stopping")
        deadline.check(f"a line of {self.name}")
        if len(self._jobs) >= JOBS_MAX:
            raise Overloaded(f"engine {self.name!r} has {len(self._jobs)} lines to write", retry_after_s=1.0)
        job = _Job(completion, deadline)
        self._jobs.add(job)
        return job

    # From here on: in the worker.

    def _work(self, job: _Job) -> None:
        job.check(self.name)
        try:
            context, scribe = self._load()
            self._write(job, context, scribe)
        except EngineDown as error:
            if not job.gone.is_set():
                self._trouble = error.message
            raise
        self._trouble = ""

    def _load(self) -> tuple[gguf.Context, Scribe]:
        if self._loaded is None:
            context = gguf.Context(self._path, self._bounds)
            self._loaded = context, Scribe(context)
        return self._loaded

    def _write(self, job: _Job, context: gguf.Context, scribe: Scribe) -> None:
        """Read the prompt, draw the answer, and look between tokens whether anybody still waits."""
        completion = job.completion
        prompt = scribe.tokens(completion)
        if len(prompt) + completion.output_tokens_max > context.tokens_max:
            raise EngineDown(
                f"{self.name} holds {context.tokens_max} tokens, not {len(prompt)} and {completion.output_tokens_max}",
                hint=f"raise engines.{self.name}.context_tokens_max, or lower modules.dialogue.context_tokens_max",
            )
        job.send(WordsStart(engine=self.name, model=self._path.stem))
        cached = context.keep(prompt)
        for start in range(cached, len(prompt), context.step_tokens_max):
            job.check(self.name)
            context.read(prompt[start : start + context.step_tokens_max])
        reason, drawn = self._draw(job, context, scribe)
        usage = Usage(tokens_in=len(prompt), tokens_out=drawn, cached_tokens_in=cached)
        job.send(WordsEnd(reason=reason, usage=usage))

    def _draw(self, job: _Job, context: gguf.Context, scribe: Scribe) -> tuple[Literal["stop", "length"], int]:
        """Send the answer as it is drawn; returns why it ended and how many tokens it took."""
        answer = Answer(scribe.scaffold.stops)
        reason: Literal["stop", "length"] = "length"
        drawn, most = 0, job.completion.output_tokens_max
        with context.drawing(seed=job.completion.seed, schema=job.completion.schema) as draw:
            while drawn < most and reason == "length":
                job.check(self.name)
                token = draw()
                drawn += 1
                if scribe.ends(token):
                    reason = "stop"
                    break
                self._say(job, answer.feed(context.text(token)))
                if answer.stopped:
                    reason = "stop"
                elif drawn < most:
                    context.read([token])
        self._say(job, answer.flush())
        return reason, drawn

    def _say(self, job: _Job, text: str) -> None:
        if text:
            job.send(WordsDelta(text=text))

    def _free(self) -> None:
        if self._loaded is not None:
            self._loaded[0].free()
            self._loaded = None


def open_llama(*, name: str, file: str, bounds: gguf.Bounds) -> Llama:
    """An engine over the GGUF `file`, which is loaded before the first line is written, not now.

    Raises ModuleNotFoundError when llama-cpp-python is not installed, EngineDown when the file is no GGUF or is larger
    than the machine's memory.
    """
    if find_spec("llama_cpp") is None:
        raise ModuleNotFoundError("No module named 'llama_cpp'", name="llama_cpp")
    gguf.check(Path(file), bounds)
    return Llama(name, Path(file), bounds)
