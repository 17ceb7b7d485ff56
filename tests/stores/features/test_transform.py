"""Transformations: written once, the same rows on DuckDB and on Spark, and equal to a slow twin."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from app.core.errors import Conflict, Invalid, NotFound
from app.core.messages import Event
from app.stores.features import transform
from app.stores.features.history import History, folder_of
from app.stores.features.pointintime import join
from app.world.events import EntityRemoved, Happened, RelationChanged
from tests.stores.features import stage
from tests.stores.features.stage import PEOPLE

LABELS = 300


def busy_log(seed: int, events: int = 400) -> list[Event]:
    """A log over some game days, several events in many a second, some told late, one death and a leave."""
    draw = random.Random(seed)
    steps: list[tuple[Any, float]] = [(stage.arrive(id), 0.0) for id in stage.EVERYONE]
    at_s = 0.0
    for number in range(events):
        at_s += draw.choice([0.0, 0.0, 1.0, 60.0, 4_000.0])
        by, to = draw.choice(stage.EVERYONE), draw.choice(stage.EVERYONE)
        if number == events // 2:
            steps.append((EntityRemoved(entity_kind="player", id="ben"), at_s))
        elif draw.random() < 0.3:
            steps.append((RelationChanged(npc="mara", other=to, delta=draw.choice([0.25, -0.5])), at_s))
        else:
            verb = draw.choice(["talked", "gave", "killed", "moved"])
            steps.append((Happened(verb=verb, actor=by, target=to), at_s - draw.choice([0.0, 0.0, 500.0])))
    return stage.events_of(steps, wall_step_ms=600_000)


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, list[Path]]:
    """History in a folder with an awkward name, and labels of all sorts."""
    log = busy_log(7)
    history = History(folder_of(tmp_path, "t=1", "Wörld 1/%2F", PEOPLE), PEOPLE)
    history.lock()
    history.append(stage.history_rows(PEOPLE, log))
    history.unlock()
    draw = random.Random(8)
    ids = [draw.choice([*stage.EVERYONE, "nobody"]) for _ in range(LABELS)]
    events = [draw.choice(log) for _ in range(LABELS)]
    labels = {
        "place": pa.array(range(LABELS), pa.int64()),
        "kind": [stage.kind_of(id) for id in ids],
        "entity": ids,
        "at_s": [event.game_s + draw.choice([0.0, 0.0, 1.0]) for event in events],
        "seq": pa.array([draw.choice([0, event.seq, event.seq + 1]) for event in events], pa.int64()),
    }
    pq.write_table(pa.table(labels), tmp_path / "labels.parquet")
    return {"history": history.files(), "labels": [tmp_path / "labels.parquet"]}


def rows(folder: Path) -> list[tuple[object, ...]]:
    table = pyarrow.dataset.dataset([str(path) for path in folder.glob("*.parquet")]).to_table()
    return sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.mark.needs_spark
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_spark_gives_the_same_rows_as_duckdb(tmp_path: Path, sources: dict[str, list[Path]]) -> None:
    for name in transform.names():
        for engine in ("duckdb", "spark"):
            transform.run(name, sources, tmp_path / f"{name}-{engine}", engine=engine)
        duckdb, spark = (rows(tmp_path / f"{name}-{engine}") for engine in ("duckdb", "spark"))
        assert duckdb == spark, name
        assert duckdb, name


def test_the_portable_point_in_time_read_equals_the_asof_join(tmp_path: Path, sources: dict[str, list[Path]]) -> None:
    transform.run("as_of", sources, tmp_path / "out", engine="duckdb")
    seqs, _vectors = join(PEOPLE, sources["history"], pq.read_table(sources["labels"][0]))
    assert rows(tmp_path / "out") == list(enumerate(seqs.tolist()))


def test_days_equal_a_count_of_the_events(tmp_path: Path, sources: dict[str, list[Path]]) -> None:
    transform.run("days", sources, tmp_path / "out", engine="duckdb")
    expected, clock_s = {}, 0.0
    for event in busy_log(7):
        clock_s = max(clock_s, event.game_s)
        if isinstance(event.change, Happened) and event.change.actor == "mara":
            expected[clock_s // 86_400] = expected.get(clock_s // 86_400, 0) + 1
    table = pyarrow.dataset.dataset(tmp_path / "out").to_table()
    found = {row["game_day"]: row["deeds_today"] for row in table.to_pylist() if row["entity"] == "mara"}
    assert {day: count for day, count in found.items() if count} == expected


def test_what_cannot_run_is_refused_before_anything_is_written(tmp_path: Path, sources: dict[str, list[Path]]) -> None:
    with pytest.raises(Invalid) as unknown:
        transform.run("day", sources, tmp_path / "out", engine="duckdb")
    assert "'days'" in unknown.value.hint
    with pytest.raises(NotFound):
        transform.run("days", {"history": []}, tmp_path / "out", engine="duckdb")
    with pytest.raises(Conflict):
        transform.run("days", sources, tmp_path, engine="duckdb")
    assert not (tmp_path / "out").exists()
