"""A studio's own encoder: NPCs are reminded by what words mean; without it, or when it breaks, by words alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.clock import Deadline
from app.core.errors import EngineDown
from app.core.ports import After, Arrays, EngineStatus
from app.engines.onnx import open_onnx, own
from app.modules.memory.embedding import MISSES, Embedder, Reader
from app.modules.memory.index import wordpiece
from app.modules.memory.messages import Forget, Note, Recall
from app.modules.memory.settings import EmbeddingSettings, Settings
from tests.doubles import SilentLog
from tests.modules.memory import encoder
from tests.modules.memory.hall import CLOCK, Hall
from tests.servers import ROOT, Server, running

SAID, ASKED = "Old Marten the healer was poorly all winter.", "Is the physician sick?"
TOKENS = wordpiece.read("\n".join(encoder.VOCABULARY).encode())
SETTINGS = EmbeddingSettings(cue_ms=2_000, retry_ms=50)


class Table:
    """The encoder in numpy, as a Network that can be made slow or broken."""

    name = "embedder"
    metadata = {"inputs": "input_ids,attention_mask"}

    def __init__(self) -> None:
        self.broken = False
        self.slow_s = 0.0
        self.runs: list[tuple[int, ...]] = []

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="onnx", state="ready")

    def rows_by(self, deadline: Deadline) -> int:
        return 4

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
        self.runs.append(inputs["input_ids"].shape)
        await asyncio.sleep(self.slow_s)
        if self.broken:
            raise EngineDown("no such device", hint="mend it")
        return {"last_hidden_state": encoder.table()[inputs["input_ids"]]}

    async def close(self) -> None:
        pass


async def until_idle(embedder: Embedder) -> None:
    for _ in range(2_000):
        if not embedder.waiting:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{embedder.waiting} memories still wait")


class Minded(Hall):
    """The hall with an encoder."""

    embedder: Embedder

    def __init__(self, network: Any, settings: EmbeddingSettings = SETTINGS) -> None:
        self.network = network
        self.embedding = settings
        super().__init__(Settings(embedding=settings))

    def restart(self) -> None:
        reader = Reader(TOKENS, self.network.metadata, tokens_max=self.embedding.tokens_max)
        self.embedder = Embedder(self.network, reader, self.embedding, clock=CLOCK, log=SilentLog())
        super().restart()

    async def embedded(self) -> None:
        """Until no memory waits for its vector."""
        await until_idle(self.embedder)
        await asyncio.sleep(0.02)

    async def recalled(self, text: str = ASKED, npc: str = "greta", listener: str = "") -> list[str]:
        answer = await self.ask(Recall(npc=npc, text=text, listener=listener))
        return [memory.text for memory in answer.memories]

    async def close(self) -> None:
        await super().close()
        await self.embedder.close()


async def hall_of(network: Any, settings: EmbeddingSettings = SETTINGS) -> Minded:
    hall = Minded(network, settings)
    await hall.fill()
    return hall


def opened(folder: Path, data: bytes | None = None) -> Any:
    file, _ = encoder.write(folder, data)
    return open_onnx(name="embedder", entry=own.entry_of(file), folder=folder, batch_rows_max=32)


@pytest.mark.parametrize("types", [True, False])
async def test_on_the_real_runtime_a_paraphrase_is_recalled_before_and_after_a_restart(
    tmp_path: Path, types: bool
) -> None:
    hall = await hall_of(opened(tmp_path, encoder.network(types=types)))
    assert await hall.recalled() == []  # her mind is in RAM now, and follows
    await hall.ask(Note(npc="greta", text=SAID))
    await hall.ask(Note(npc="greta", text="The bridge has been mended."))
    await hall.embedded()
    assert await hall.recalled() == [SAID]
    hall.restart()
    await hall.recalled()
    await hall.embedded()
    assert await hall.recalled() == [SAID]
    await hall.close()


async def test_texts_of_other_lengths_at_the_same_time_get_their_own_answers(tmp_path: Path) -> None:
    network = opened(tmp_path)
    reader = Reader(TOKENS, network.metadata, tokens_max=128)
    embedder = Embedder(network, reader, SETTINGS, clock=CLOCK, log=SilentLog())
    texts = ["wolf", "wolf " * 30, "gold", "gold " * 90] * 20
    found = await asyncio.gather(*(embedder.cue(text) for text in texts))
    for text, meant in zip(texts, found, strict=True):
        assert meant is not None
        assert int(np.argmax(meant[0])) == (6 if "wolf" in text else 7)
    await embedder.close()


async def test_a_line_that_several_heard_is_computed_once() -> None:
    network = Table()
    hall = await hall_of(network)
    await hall.recalled()
    await hall.recalled(npc="tom")
    network.runs.clear()
    await hall.ask(Note(npc="greta", also=("tom",), text=SAID))
    await hall.embedded()
    assert network.runs == [(1, 16)]
    assert await hall.recalled() == await hall.recalled(npc="tom") == [SAID]
    await hall.close()


async def test_a_broken_network_leaves_words_says_so_and_catches_up_when_it_is_well() -> None:
    network = Table()
    network.broken = True
    hall = await hall_of(network)
    for _ in range(MISSES):
        assert await hall.recalled() == []
    await hall.ask(Note(npc="greta", text=SAID))
    assert await hall.recalled("Where is Marten?") == [SAID]
    assert hall.embedder.status().state == "degraded"
    assert "no such device" in hall.embedder.status().detail
    network.broken = False
    await hall.embedded()
    assert await hall.recalled() == [SAID]
    assert hall.embedder.status().state == "ready"
    await hall.close()


async def test_a_late_cue_goes_by_words() -> None:
    network = Table()
    hall = await hall_of(network, EmbeddingSettings(cue_ms=20))
    await hall.recalled()
    await hall.ask(Note(npc="greta", text=SAID))
    await hall.embedded()
    network.slow_s = 30.0
    for _ in range(MISSES):
        assert await hall.recalled("Where is Marten?") == [SAID]
    assert await hall.recalled() == []
    assert hall.embedder.status().state == "degraded"
    await hall.close()


async def test_what_is_forgotten_pinned_or_a_secret_is_not_found_by_its_meaning() -> None:
    hall = await hall_of(Table())
    await hall.recalled()
    noted = await hall.ask(Note(npc="greta", text=SAID))
    await hall.ask(Note(npc="greta", text="The healer is ill.", known_by=("ash",)))
    await hall.ask(Note(npc="greta", text="Keep the healer safe.", pinned=True))
    await hall.embedded()
    assert await hall.recalled(listener="bo") == [SAID]
    assert set(await hall.recalled(listener="ash")) == {SAID, "The healer is ill."}
    await hall.ask(Forget(npc="greta", ids=(noted.id,)))
    assert await hall.recalled(listener="bo") == []
    await hall.close()


async def test_minds_that_are_let_go_take_their_waiting_memories_with_them() -> None:
    network = Table()
    hall = await hall_of(network)
    network.slow_s = 0.05
    await hall.recalled()
    for at in range(40):
        await hall.ask(Note(npc="greta", text=f"{SAID} {at}"))
    assert hall.embedder.waiting
    hall.minds.forget("t", "w", "ash")
    await until_idle(hall.embedder)
    assert len(network.runs) < 10
    await hall.close()


def test_a_network_that_takes_something_else_or_answers_so_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineDown, match="pixel_values"):
        Reader(TOKENS, {"inputs": "pixel_values"}, tokens_max=8)
    reader = Reader(TOKENS, Table.metadata, tokens_max=8)
    with pytest.raises(EngineDown, match="rows"):
        reader.vectors([[2, 3]], {"logits": np.zeros((1, 2, 3, 4), np.float32)})
    with pytest.raises(EngineDown, match=r"encoder\.onnx"):
        opened(tmp_path, b"no network")
    with pytest.raises(EngineDown, match="none"):
        own.entry_of(tmp_path / "none.onnx")


def test_the_mean_is_over_the_text_and_not_over_its_padding() -> None:
    reader = Reader(TOKENS, Table.metadata, tokens_max=64)
    tokens = np.zeros((1, 16, 2), np.float32)
    tokens[0, :3], tokens[0, 3:] = (3.0, 1.0), (-50.0, 50.0)
    (found,) = reader.vectors([[2, 5, 3]], {"token_embeddings": tokens})
    assert found is not None
    assert found[0].tolist() == [127, 42]
    pooled = np.array([[0.0, 2.0]], np.float32)
    for outputs in ({"token_embeddings": tokens, "sentence_embedding": pooled}, {"text": pooled}):
        (found,) = reader.vectors([[2, 5, 3]], outputs)
        assert found is not None
        assert found[0].tolist() == [0, 127]


def named(folder: Path, data: bytes | None = None) -> Sequence[str]:
    file, words = encoder.write(folder, data)
    return (
        "--set", f"engines.embedder.file={file}", "--set", f"engines.embedder.tokenizer={words}",
        "--set", "modules.memory.embedding.cue_ms=2000",
    )  # fmt: skip


def ask(server: Server, op: str, **data: object) -> Any:
    status, answer = server.post(f"/v1/{op}", {"world": "w", **data})
    assert status == 200, answer
    return answer


def recalled(server: Server, text: str) -> list[str]:
    return [memory["text"] for memory in ask(server, "memory/recall", npc="mara", text=text)["memories"]]


def remember(server: Server) -> None:
    ask(server, "world/create")
    ask(server, "world/upsert", entities=[{"type": "npc", "id": "mara"}])
    for text in ("A veshna sleeps under the hill.", "The miller sells flour."):
        ask(server, "memory/note", npc="mara", text=text)


def examined(folder: Path, *arguments: str) -> dict[str, Any]:
    """What the doctor says of the encoder, and of what is degraded."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "doctor", "--mode", "2", "--json", *arguments],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    found = json.loads(run.stdout)
    engine = next((engine for engine in found["engines"] if engine["name"] == "embedder"), {})
    return {**engine, "degraded": found["degraded"]}


def test_a_real_server_with_an_encoder_recalls_what_words_alone_miss(tmp_path: Path) -> None:
    with running(tmp_path / "bare", mode=2) as server:
        remember(server)
        assert recalled(server, "Tormil?") == []
    arguments = named(tmp_path)
    with running(tmp_path / "minded", *arguments, mode=2) as server:
        remember(server)
        for _ in range(200):
            if found := recalled(server, "Tormil?"):
                break
            time.sleep(0.05)
        assert found == ["A veshna sleeps under the hill."]
    assert examined(tmp_path, *arguments)["state"] == "ready"
    assert examined(tmp_path)["degraded"] == []


@pytest.mark.parametrize("broken", ["network", "vocabulary", "nothing", "tokenizer"])
def test_with_a_broken_encoder_a_server_starts_answers_by_words_and_says_why(tmp_path: Path, broken: str) -> None:
    data = {"network": encoder.network()[:-9], "vocabulary": encoder.network(rows=encoder.table()[:-2])}.get(broken)
    arguments = named(tmp_path, data)
    if broken == "nothing":
        (tmp_path / "encoder.onnx").unlink()
    if broken == "tokenizer":
        (tmp_path / "vocab.txt").write_text("a\nb\n")
    with running(tmp_path / "data", *arguments, mode=2) as server:
        remember(server)
        assert recalled(server, "Who sells flour?")[0] == "The miller sells flour."
    found = examined(tmp_path, *arguments)
    said = {"network": "encoder.onnx", "vocabulary": "Gather", "nothing": "No such file", "tokenizer": "[CLS]"}[broken]
    assert (found["state"], found["degraded"]) == ("degraded", ["embedder"])
    assert said in found["detail"]
    assert found["mend"]
