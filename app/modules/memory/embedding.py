"""Gives memories and cues their vectors: memories in the background, cues within a budget, never an error.

It knows a network that reads text, by its port, and the minds that wait. Texts wait in the minds that hold them, so
nothing is kept here that a mind has let go. A memory without a vector, and a cue that comes late, go by words alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from app.core.clock import Clock, Deadline
from app.core.errors import EngineDown, Error
from app.core.ports import Arrays, EngineStatus, Log, Network
from app.modules.memory.holding import Holding
from app.modules.memory.index.columns import F32
from app.modules.memory.index.embedded import Meant, quantized
from app.modules.memory.index.wordpiece import WordPiece
from app.modules.memory.settings import EmbeddingSettings

TAKEN = frozenset(("input_ids", "attention_mask", "token_type_ids"))
SENTENCE = "sentence_embedding"
"""What exporters call an output that is pooled already."""
LENGTH_MIN = 16
"""Texts are padded to this many tokens, or twice, four times, ... as many: by their own length and nothing else."""
MISSES = 3
"""Failures in a row after which the engine is called degraded."""


class Reader:
    """What a network takes of a text, and what its answer says of it."""

    def __init__(self, tokens: WordPiece, metadata: Mapping[str, str], *, tokens_max: int) -> None:
        """`metadata` is the network's. Raises EngineDown when it takes what a text does not have."""
        self._tokens, self._tokens_max = tokens, tokens_max
        self._inputs = tuple(metadata["inputs"].split(","))
        if "input_ids" not in self._inputs or not TAKEN.issuperset(self._inputs):
            raise EngineDown(
                f"the network takes {', '.join(self._inputs)}, an encoder of sentences {', '.join(sorted(TAKEN))}",
                hint="export an encoder such as MiniLM or BGE",
            )

    def numbers(self, text: str) -> list[int]:
        """The text's tokens, `tokens_max` at most."""
        return self._tokens.numbers(text, most=self._tokens_max)

    def length(self, numbers: Sequence[int]) -> int:
        """The tokens to which a text is padded."""
        length = LENGTH_MIN
        while length < len(numbers):
            length *= 2
        return min(length, max(self._tokens_max, len(numbers)))

    def arrays(self, texts: Sequence[Sequence[int]]) -> Arrays:
        """(rows, length) int64 of each input, for texts of one padded length."""
        shape = (len(texts), self.length(texts[0]))
        ids, mask = np.full(shape, self._tokens.padding, np.int64), np.zeros(shape, np.int64)
        for row, numbers in enumerate(texts):
            ids[row, : len(numbers)] = numbers
            mask[row, : len(numbers)] = 1
        made = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape, np.int64)}
        return {name: made[name] for name in self._inputs}

    def trial(self) -> list[list[int]]:
        """A text of one word, the last of the vocabulary: it fails where the vocabulary is another network's."""
        start, end = self._tokens.numbers("", most=2)
        return [[start, self._tokens.largest, end]]

    def vectors(self, texts: Sequence[Sequence[int]], outputs: Arrays) -> list[Meant | None]:
        """What each text means, of length 1 before it is rounded; None where the network gave no number.

        The network's own pooled output, or the mean of its tokens (Reimers and Gurevych 2019).
        Raises EngineDown when the answer has no such form.
        """
        return [quantized(row) for row in _pooled(outputs, [len(numbers) for numbers in texts])]


def _pooled(outputs: Arrays, lengths: Sequence[int]) -> Iterable[F32]:
    arrays = {name: array for name, array in outputs.items() if array.shape[0] == len(lengths)}
    if SENTENCE in arrays and arrays[SENTENCE].ndim == 2:
        return arrays[SENTENCE].astype(np.float32)
    for array in arrays.values():
        if array.ndim == 3 and array.shape[1] >= max(lengths):
            return [array[row, :length].astype(np.float32).mean(axis=0) for row, length in enumerate(lengths)]
    for array in arrays.values():
        if array.ndim == 2:
            return array.astype(np.float32)
    shapes = {name: array.shape for name, array in outputs.items()}
    raise EngineDown(
        f"the network answers {shapes!r}, not (rows, tokens, numbers) or (rows, numbers)", hint="export another encoder"
    )


class Embedder:
    """A network's vectors for whoever remembers. It is an engine: it says how it is, and is closed like one."""

    def __init__(
        self, network: Network, reader: Reader, settings: EmbeddingSettings, *, clock: Clock, log: Log
    ) -> None:
        self._network, self._reader, self._settings = network, reader, settings
        self._clock, self._log = clock, log
        self._waiting: WeakKeyDictionary[Holding, dict[str, None]] = WeakKeyDictionary()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._misses = 0
        self._fault = ""

    @property
    def name(self) -> str:
        return self._network.name

    @property
    def waiting(self) -> int:
        """Memories that have no vector yet."""
        return sum(len(ids) for ids in self._waiting.values())

    def status(self) -> EngineStatus:
        """The network's; degraded while texts fail or come late."""
        status = self._network.status()
        if self._misses < MISSES:
            return status
        detail = "; ".join(filter(None, (status.detail, f"memories are ranked by words alone: {self._fault}")))
        mend = status.mend or "raise modules.memory.embedding.cue_ms, or bring a smaller network"
        return msgspec.structs.replace(status, state="degraded", detail=detail, mend=mend)

    async def cue(self, text: str) -> Meant | None:
        """What a cue means; None when the network fails or is not done within `cue_ms`. Raises nothing."""
        numbers = [self._reader.numbers(text)]
        deadline = Deadline.after_ms(self._settings.cue_ms, self._clock)
        try:
            async with asyncio.timeout(self._settings.cue_ms / 1000.0):
                outputs = await self._network.run(self._reader.arrays(numbers), deadline)
            found = self._reader.vectors(numbers, outputs)[0]
        except TimeoutError:
            self._missed(f"a cue took more than {self._settings.cue_ms} ms")
            return None
        except Error as error:
            self._missed(error.message)
            return None
        self._well()
        return found

    def want(self, held: Holding, ids: Iterable[str]) -> None:
        """Have these memories embedded when there is time; those that are there, gone or pinned are passed over."""
        new = {id: None for id in ids if id in held.memories and id not in held.pinned and id not in held.mind.embedded}
        if not new:
            return
        self._waiting.setdefault(held, {}).update(new)
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="embed memories")

    async def close(self) -> None:
        """Stop, and close the network."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._network.close()

    async def _work(self) -> None:
        while True:
            held = next(iter(self._waiting), None)
            if held is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            ids = self._waiting.pop(held)
            batch = self._batch(held, ids)
            if ids:
                self._waiting[held] = ids  # at the end: others have their turn
            failed = bool(batch) and not await self._embed(held, batch)
            if failed:  # behind the others, which may do better
                self._waiting[held] = {**dict.fromkeys(batch), **self._waiting.get(held, {})}
            del held, ids, batch
            await asyncio.sleep(self._settings.retry_ms / 1000.0 if failed else 0.0)

    def _batch(self, held: Holding, ids: dict[str, None]) -> dict[str, list[int]]:
        """The newest memories that wait, of one padded length, no more than leave room for a cue."""
        deadline = Deadline.after_ms(self._settings.batch_ms, self._clock)
        room = min(max(1, self._network.rows_by(deadline)), self._settings.batch_rows_max)
        batch: dict[str, list[int]] = {}
        length = 0
        while ids and len(batch) < room:
            id = next(reversed(ids))
            memory = held.memories.get(id)
            numbers = self._reader.numbers(memory.text) if memory is not None else []
            if numbers and batch and self._reader.length(numbers) != length:
                break
            del ids[id]
            if numbers and id not in held.mind.embedded:
                batch[id], length = numbers, self._reader.length(numbers)
        return batch

    async def _embed(self, held: Holding, batch: Mapping[str, list[int]]) -> bool:
        """Whether the memories have their vectors now; those that gave none are ranked by words for good."""
        texts = list(batch.values())
        try:
            deadline = Deadline.after_ms(self._settings.retry_ms, self._clock)
            outputs = await self._network.run(self._reader.arrays(texts), deadline)
            found = self._reader.vectors(texts, outputs)
        except Error as error:
            self._missed(error.message)
            return False
        for id, meant in zip(batch, found, strict=True):
            memory = held.memories.get(id)
            if meant is None or memory is None:
                continue
            held.mind.embed(id, meant)
            for other, ids in self._waiting.items():  # who heard the same need not have it computed again
                twin = other.memories.get(id) if id in ids else None
                if twin is not None and twin.text == memory.text:
                    other.mind.embed(id, meant)
                    del ids[id]
        return True

    def _missed(self, reason: str) -> None:
        self._misses += 1
        self._fault = reason
        if self._misses == MISSES:
            self._log.warning("embedder.failed", engine=self.name, reason=reason)

    def _well(self) -> None:
        if self._misses >= MISSES:
            self._log.info("embedder.recovered", engine=self.name)
        self._misses = 0
