"""The file format of recorded play: what was written is read, and what was damaged is never believed."""

from __future__ import annotations

import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.errors import Broken, Malformed, NotFound
from app.modules.behavior import recordings
from app.modules.behavior.recordings import SUFFIX, Context, Feedback, Played, Reader, Rewarded, Segment, Tick, frame
from tests.modules.behavior.playing import decide, files, recording, reward

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "learn-from-your-own-play.md"
SEGMENT = Segment(format=1, tenant="t", world="w", wall_ms=5, npc_share=1.0, episode_ticks_max=9)
CONTEXT = Context(
    schema="s", fingerprint="f", features=("a", "b", "c"), intents=tuple("ijklmnopqr"), slots=2,
    rungs=("utility", "reflex"), passes="numpy", taste_share=0.1,
)  # fmt: skip


def tick(number: int, rows: int, **more: NDArray[Any]) -> tuple[Tick, dict[str, NDArray[Any]]]:
    generator = np.random.default_rng(number)
    arrays: dict[str, NDArray[Any]] = {
        "flags": np.zeros(rows, np.uint8), "mask": generator.integers(0, 4, (rows, 2), np.uint8),
        "handles": generator.integers(0, 99, rows, np.uint32), "rung_of": generator.integers(0, 2, rows, np.uint8),
        "intents": generator.integers(0, 10, rows, np.uint8), "targets": generator.integers(0, 2, rows, np.uint8),
        "confidence": generator.random(rows, np.float32), "obs": generator.random((rows, 3), np.float32), **more,
    }  # fmt: skip
    return Tick(context=0, tick=number, game_s=0.5, wall_ms=6, seed=7, npcs=rows), arrays


def written(path: Path, sizes: list[int]) -> bytes:
    parts = [*frame(SEGMENT, {}), *frame(CONTEXT, {})]
    for number, rows in enumerate(sizes):
        parts += frame(*tick(number, rows))
    data = b"".join(parts)
    path.write_bytes(data)
    return data


def read(path: Path) -> tuple[list[Played | Rewarded], Reader]:
    reader = Reader(path)
    return list(reader), reader


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 40), max_size=6), width=st.integers(0, 9))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], width: int) -> None:
    path = tmp_path_factory.mktemp("rec") / f"a{SUFFIX}"
    data = written(path, sizes)
    head, arrays = tick(99, 3, remembered=np.arange(3 * width, dtype=np.float32).reshape(3, width))
    given_feedback = Feedback(tick=3, reward_kind="gold", ends=True, key="k", digest="d", wall_ms=8)
    rewarded = {"handles": np.array([4], np.uint32), "reward": np.array([0.5], np.float32)}
    path.write_bytes(data + b"".join(frame(head, arrays)) + b"".join(frame(given_feedback, rewarded)))
    found, reader = read(path)
    assert (reader.lost_bytes, len(found)) == (0, len(sizes) + 2)
    for number, (rows, record) in enumerate(zip(sizes, found, strict=False)):
        expected = tick(number, rows)[1]
        assert isinstance(record, Played)
        assert all(np.array_equal(record.arrays[name], array) for name, array in expected.items())
    last, after = found[-2:]
    assert isinstance(last, Played)
    assert isinstance(after, Rewarded)
    assert last.remembered is not None
    assert last.remembered.tobytes() == arrays["remembered"].tobytes()
    assert (after.head.key, after.arrays["reward"].tolist()) == ("k", [0.5])


@settings(deadline=None)
@given(cut=st.floats(0.0, 1.0))
def test_a_torn_tail_is_dropped_and_all_before_it_is_read(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    path = tmp_path_factory.mktemp("rec") / f"a{SUFFIX}"
    data = written(path, [5, 7, 3])
    ends = [len(written(path, [5, 7, 3][:count])) for count in range(4)]
    size = int(cut * len(data))
    path.write_bytes(data[:size])
    found, reader = read(path) if size else ([], Reader(path))
    assert len(found) == sum(size >= end for end in ends[1:])
    assert reader.lost_bytes == (0 if size in (*ends, 0, len(b"".join(frame(SEGMENT, {})))) else reader.lost_bytes)
    assert bool(reader.lost_bytes) == bool(reader.damaged_files)


@settings(deadline=None)
@given(at=st.floats(0.0, 0.999), flip=st.integers(1, 255))
def test_a_flipped_byte_costs_its_record_and_no_other_and_is_told(
    tmp_path_factory: pytest.TempPathFactory, at: float, flip: int
) -> None:
    path = tmp_path_factory.mktemp("rec") / f"a{SUFFIX}"
    start, data = len(written(path, [])), bytearray(written(path, [5, 7, 3, 6]))
    place = start + int(at * (len(data) - start))  # in a tick: without the context nothing could be read
    data[place] ^= flip
    path.write_bytes(bytes(data))
    found, reader = read(path)
    numbers = [record.head.tick for record in found]
    assert len(numbers) == 3, "the other three"
    assert reader.damaged_files
    for record, number in zip(found, numbers, strict=True):
        assert np.array_equal(record.arrays["obs"], tick(number, len(record.arrays["handles"]))[1]["obs"])


def test_a_record_that_lies_about_its_arrays_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / f"a{SUFFIX}"
    base = written(path, [])
    wrong = [
        tick(0, 3, obs=np.zeros((3, 2), np.float32)), tick(1, 3, rung_of=np.full(3, 9, np.uint8)),
        tick(2, 3, intents=np.full(3, 50, np.uint8)), tick(3, 3, confidence=np.zeros(3)),
    ]  # fmt: skip
    fine = frame(*tick(4, 3))
    path.write_bytes(base + b"".join(b"".join(frame(*one)) for one in wrong) + b"".join(fine))
    found, reader = read(path)
    assert [record.head.tick for record in found] == [4]
    assert len(reader.damaged_files) == 4


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        list(Reader(tmp_path / "nowhere"))
    later = Segment(format=2, tenant="t", world="w", wall_ms=5, npc_share=1.0, episode_ticks_max=9)
    (tmp_path / f"a{SUFFIX}").write_bytes(b"".join(frame(later, {})))
    with pytest.raises(Malformed, match="format 2"):
        list(Reader(tmp_path))
    with pytest.raises(Broken, match="<f2"):
        frame(SEGMENT, {"half": np.zeros(3, np.float16)})


async def test_the_reader_in_the_guide_reads_what_the_server_writes(tmp_path: Path) -> None:
    async with recording(tmp_path) as on:
        await decide(on, tick=4)
        await reward(on, tick=4)
    program = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert program is not None
    space: dict[str, Any] = {"json": json, "np": np, "struct": struct, "zlib": zlib}
    exec(program.group(1), space)  # noqa: S102  # the guide's own program is what is tested
    path = files(tmp_path)[0]
    found = list(space["records"](path))
    assert [head["kind"] for head, _ in found] == ["segment", "context", "tick", "feedback"]
    ours = next(record for record in recordings.Reader(path) if isinstance(record, Played))
    assert np.array_equal(found[2][1]["obs"], ours.obs)
