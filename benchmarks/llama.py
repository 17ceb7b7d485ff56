"""A local model's first token, cold and warm: what keeping the words that were read saves the next turn.

    uv run --extra llama --group llama python benchmarks/llama.py [MODEL.gguf] [--turns 6]

Without a file it teaches the small model of the tests. Prints a line for each turn of a conversation that grows, once
with the words of the turns before at hand and once after another conversation has taken their place.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.core import engines
from app.core.clock import Deadline, SystemClock
from app.core.words import Completion, Turn, WordsDelta, WordsEnd
from app.engines.llama.engine import Llama, open_llama

HEAD = (
    "You are Mira, who keeps the Crooked Lantern. " + "You know every guest, every road and every price by heart. " * 12
)
WAIT_MS = 120_000.0


async def measured(engine: Llama, turns: tuple[Turn, ...]) -> tuple[str, float, WordsEnd]:
    """The answer, milliseconds to its first text, and its end."""
    completion = Completion(task="dialogue.reply", turns=turns, output_tokens_max=48, seed=41)
    began_s, first_ms, text = time.perf_counter(), 0.0, ""
    end: WordsEnd | None = None
    async for event in engine.stream(completion, Deadline.after_ms(WAIT_MS, SystemClock())):
        if isinstance(event, WordsDelta):
            first_ms = first_ms or (time.perf_counter() - began_s) * 1000.0
            text += event.text
        elif isinstance(event, WordsEnd):
            end = event
    assert end is not None
    return text, first_ms, end


async def conversation(engine: Llama, count: int) -> None:
    other = (Turn(role="system", text="You are Tom. " * 40), Turn(role="user", text="Hello"))
    turns: tuple[Turn, ...] = (Turn(role="system", text=HEAD),)
    sums = [0.0, 0.0]
    print(f"{'turn':>4} {'tokens in':>9} {'at hand':>8} {'warm ms':>8} {'cold ms':>8} {'cold/warm':>9}")
    for turn in range(count):
        turns = (*turns, Turn(role="user", text=f"Tell me more, for the {turn + 1}. time."))
        text, warm_ms, end = await measured(engine, turns)
        used = end.usage
        await measured(engine, other)
        _, cold_ms, _ = await measured(engine, turns)
        ratio = cold_ms / max(warm_ms, 0.001)
        print(f"{turn:4} {used.tokens_in:9} {used.cached_tokens_in:8} {warm_ms:8.1f} {cold_ms:8.1f} {ratio:9.1f}")
        if turn:  # the first has nothing at hand
            sums = [sums[0] + warm_ms, sums[1] + cold_ms]
        turns = (*turns, Turn(role="assistant", text=text))
    print(f"after the first turn, a first token waits {sums[1] / max(sums[0], 0.001):.1f} times longer when cold")


async def main(path: Path, turns: int) -> None:
    spec = engines.Llama(file=str(path), context_tokens_max=8_192, threads_max=8)
    engine = open_llama("llama", spec)
    try:
        await measured(engine, (Turn(role="user", text="Hello"),))  # loads the file
        await conversation(engine, turns)
    finally:
        await engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--turns", type=int, default=6)
    asked = parser.parse_args()
    if asked.model is not None:
        asyncio.run(main(asked.model, asked.turns))
    else:
        from tests.engines.conftest import COMPLETION
        from tests.engines.taught_gguf import write_taught

        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(write_taught(Path(folder) / "mira.gguf", COMPLETION), asked.turns))
