"""The raw layout: version 1 as it was, every newer part behind its flag, and bodies that end anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Malformed
from app.modules.behavior import messages, raw
from app.modules.behavior.raw import Flag
from tests.modules.behavior.stage import LAYOUT, asked, handles, observations, stage


def body(flags: int, npcs: int, *parts: bytes, features: int = 64) -> bytes:
    """Parts one after the other, each newer one at a multiple of four."""
    found = raw.HEADER.pack(raw.MAGIC, raw.VERSION, flags, npcs, features)
    for part in parts:
        found += part
    return found


def padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)


async def test_every_part_arrives_and_the_reply_carries_parameters_and_errors() -> None:
    on = await stage()
    obs, mask = observations(5), np.ones((5, 12), np.uint8)
    obs[1, 3] = np.nan
    mask[:, 11] = 0
    seen = np.zeros((5, 2, 5), np.float32)
    seen[:, 0] = (1, 0.3, 0.5, 1.0, 0.0)
    who = np.tile(np.array([3, 4], "<u4"), 5).tobytes()
    flags = int(
        Flag.MASK | Flag.TICK | Flag.SIZES | Flag.ARCHETYPES | Flag.IMPORTANCE | Flag.CANDIDATES
        | Flag.CANDIDATE_HANDLES | Flag.STRICT | Flag.PARAMETERS
    )  # fmt: skip
    importance = np.arange(5, dtype="<f4").tobytes()
    sent = body(
        flags, 5, (9).to_bytes(8, "little"), raw.SIZES.pack(12, 2, 5, 10), padded(b"open_world"), handles(5),
        obs.tobytes(), padded(mask.tobytes()), padded(bytes([2] * 5)), importance, seen.tobytes(), who,
    )  # fmt: skip
    request = raw.decode(sent, "w")
    assert (request.tick, request.schema, request.strict, request.parameters) == (9, "open_world", True, True)
    assert (request.mask, request.importance, request.candidate_handles) == (mask.tobytes(), importance, who)
    reply: Any = await on.ask(request)
    fields = {
        "mask": mask.tobytes(), "archetypes": bytes([2] * 5), "candidates": seen.tobytes(), "candidate_handles": who,
        "strict": True, "parameters": True, "tick": 9, "obs": obs.tobytes(),
    }  # fmt: skip
    assert await asked(on, **fields) == reply
    found = raw.encode(reply)
    assert raw.HEADER.unpack_from(found) == (b"IKBD", 1, int(Flag.PARAMETERS | Flag.ERRORS), 5, 4)
    assert np.frombuffer(found, np.uint8, 5, 21).tolist() == list(reply.targets)
    assert found[32:52] == reply.confidence
    assert found[52:92] == reply.parameters
    assert raw.ERROR.unpack(found[92:]) == (1, 5)


async def test_a_raw_request_may_name_another_schema() -> None:
    on = await stage()
    obs = np.zeros((2, 53), np.float32)
    sent = body(
        int(Flag.SIZES), 2, raw.SIZES.pack(0, 0, 0, 5), padded(b"arena"), handles(2), obs.tobytes(), features=53
    )
    request = raw.decode(sent, "w")
    assert request.schema == "arena"
    reply: Any = await on.ask(request)
    assert reply.npcs == 2


@settings(deadline=None)
@given(st.integers(0, 0xFFFF), st.integers(0, 5), st.integers(0, 70), st.binary(max_size=2_000))
def test_any_body_is_a_request_or_malformed(flags: int, npcs: int, features: int, rest: bytes) -> None:
    try:
        request = raw.decode(body(flags, npcs, rest, features=features), "w")
    except Malformed:
        return
    assert len(request.handles) == 4 * npcs
    assert isinstance(request, messages.Decide)


@pytest.mark.parametrize("size", range(0, 1_340, 67))
def test_a_body_that_ends_early_or_late_says_where(size: int) -> None:
    whole = body(3, 5, bytes(8), handles(5), observations(5).tobytes(), bytes(60))
    assert raw.decode(whole, "w").mask == bytes(60)
    with pytest.raises(Malformed):
        raw.decode(whole[:size], "w")
    with pytest.raises(Malformed):
        raw.decode(body(int(Flag.SIZES), 5, raw.SIZES.pack(12, 0, 0, 0), handles(5), bytes(1_280), b"more"), "w")


@pytest.mark.parametrize(
    ("flags", "said"), [(1 << 14, "flags"), (int(Flag.CANDIDATES), "SIZES"), (int(Flag.ERRORS), "flags")]
)
def test_flags_that_cannot_be_are_malformed(flags: int, said: str) -> None:
    with pytest.raises(Malformed) as caught:
        raw.decode(body(flags, 0), "w")
    assert said in caught.value.message


def test_the_layout_of_version_1_has_not_moved() -> None:
    assert (raw.HEADER.size, raw.VERSION, int(Flag.MASK), int(Flag.TICK)) == (16, 1, 1, 2)
    assert len(LAYOUT.features) == 64
