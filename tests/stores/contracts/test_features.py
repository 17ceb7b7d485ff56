"""The contract of app.core.ports.Features, over vectors in RAM and over packed values."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from app.core.clock import SystemClock
from app.core.errors import Invalid
from app.core.messages import Event
from app.core.ports import Features
from app.stores.database import open_database
from app.stores.features.live import FeatureStore
from app.stores.features.packed import PackedFeatures, RamValues, key_head
from app.world.events import Happened
from app.world.state import World, Worlds
from tests.doubles import SilentLog
from tests.stores.features import stage
from tests.stores.features.stage import PEOPLE

MIGRATIONS = Path(__file__).resolve().parents[3] / "migrations"


def log() -> list[Event]:
    gift = Happened(verb="gave", actor="ann", target="mara")
    return stage.events_of([*((stage.arrive(id), 0.0) for id in stage.EVERYONE), (gift, 10.0), (gift, 20.0)])


@pytest.fixture(params=["ram", "packed"])
async def features(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Features]:
    """The same world behind either implementation; its owner has folded and shared everything."""
    values = RamValues(entries_max=100)
    database = open_database("", folder=tmp_path, migrations=MIGRATIONS)
    await database.upgrade()
    owner = FeatureStore(
        PEOPLE, database=database, root=tmp_path, clock=SystemClock(), log=SilentLog(), history=False,
        queue_events_max=100, rows_max=100, keep_ms=60_000, values=values,
    )  # fmt: skip
    owner.open(Worlds())
    owner.take(World("t", "w"), log())
    await owner.close(patience_s=5.0)
    yield owner if request.param == "ram" else PackedFeatures(PEOPLE, values)
    await database.close()


async def test_a_vector_for_each_id_in_order(features: Features) -> None:
    vectors = await features.read("t", "w", "npc", ["oskar", "mara", "oskar"], now_s=30.0)
    assert vectors.shape == (3, len(features.names))
    assert vectors.dtype == np.float32
    assert list(vectors[:, features.names.index("gifts_taken")]) == [0.0, 2.0, 0.0]
    assert list(vectors[:, features.names.index("age_s")]) == [30.0, 10.0, 30.0]


async def test_an_unknown_id_is_a_row_of_nan(features: Features) -> None:
    vectors = await features.read("t", "w", "player", ["nobody", "ann", "mara"], now_s=30.0)
    assert list(np.isnan(vectors).all(axis=1)) == [True, False, True]


async def test_no_ids_are_no_rows(features: Features) -> None:
    assert (await features.read("t", "w", "npc", [], now_s=0.0)).shape == (0, len(features.names))


async def test_a_kind_without_vectors_is_refused(features: Features) -> None:
    with pytest.raises(Invalid, match="'item' has no vectors"):
        await features.read("t", "w", "item", ["cup"], now_s=0.0)


async def test_too_many_ids_are_refused(features: Features) -> None:
    with pytest.raises(Invalid, match="ids in one read"):
        await features.read("t", "w", "npc", ["x"] * 10_001, now_s=0.0)


async def test_a_packed_value_of_another_version_or_size_is_not_read() -> None:
    values = RamValues(entries_max=10)
    head = key_head(PEOPLE, "w", "npc")
    record = np.zeros((), PEOPLE.record)
    record["fingerprint"] = PEOPLE.fingerprint + 1
    await values.set_many("t", {head + "a": record.tobytes(), head + "b": b"short"})
    assert np.isnan(await PackedFeatures(PEOPLE, values).read("t", "w", "npc", ["a", "b"], now_s=0.0)).all()


async def test_tenants_and_worlds_with_awkward_names_never_share_a_value() -> None:
    assert key_head(PEOPLE, "a:npc", "npc") + "b" != key_head(PEOPLE, "a", "npc") + "npc:b"
    values = RamValues(entries_max=10)
    await values.set_many("t", {"k": b"1"})
    assert await values.get_many("other", ["k"]) == [None]


async def test_kept_values_are_bounded() -> None:
    values = RamValues(entries_max=2)
    await values.set_many("t", {"a": b"1", "b": b"2", "c": b"3"})
    assert await values.get_many("t", ["a", "b", "c"]) == [None, b"2", b"3"]
