"""`manage.py features` over what a server with features in its profile left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from app.build import MODULE_SETTINGS, ROOT, Innkeeper, build
from app.cli.features import features
from app.core.errors import Conflict, Error, NotFound
from app.core.profile import layers, load
from app.world.entities import Npc, Player
from app.world.events import EntityUpserted, Happened
from tests import servers
from tests.doubles import SilentLog


async def opened(folder: Path, *, views: str, history: str) -> Innkeeper:
    flags = {"server.data_folder": str(folder), "features.views": views, "features.history": history}
    loaded = load(layers(ROOT / "profiles", mode=1, file=None, environment={}, flags=flags), MODULE_SETTINGS)
    return await build(loaded.profile, log=SilentLog())


async def play(folder: Path, *, views: str = "people", history: str = "true") -> None:
    """A server's short life: two people meet, once a game hour, five times."""
    innkeeper = await opened(folder, views=views, history=history)
    await innkeeper.journal.create_world("default", "w")
    people = [EntityUpserted(entity=Npc(id="mara")), EntityUpserted(entity=Player(id="ann"))]
    await innkeeper.journal.append("default", "w", people)
    for hour in range(1, 6):
        talk = Happened(verb="talked", actor="ann", target="mara")
        await innkeeper.journal.append("default", "w", [talk], game_s=hour * 3600.0)
    assert innkeeper.readiness()["degraded"] == []
    await innkeeper.close()


def invoke(folder: Path, *arguments: str) -> Result:
    verb, *rest = arguments
    result = CliRunner().invoke(features, [verb, "--mode", "1", "--data", str(folder), *rest])
    if isinstance(result.exception, Error):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_a_server_without_features_in_its_profile_writes_none(tmp_path: Path) -> None:
    asyncio.run(play(tmp_path, views="", history="false"))
    assert not (tmp_path / "features").exists()


def test_what_a_server_wrote_is_what_materialize_makes_from_its_log(tmp_path: Path) -> None:
    asyncio.run(play(tmp_path))
    files = sorted((tmp_path / "features").rglob("*.parquet"))
    live = pa.concat_tables([pq.read_table(path) for path in files])
    assert live.num_rows == 12
    assert "7 events" not in invoke(tmp_path, "materialize").output, "nothing was left to do"
    assert "7 events, 12 rows" in invoke(tmp_path, "materialize", "--rebuild").output
    files = sorted((tmp_path / "features").rglob("*.parquet"))
    assert pa.concat_tables([pq.read_table(path) for path in files]).equals(live)


def test_the_log_of_a_server_without_features_can_be_materialized_later(tmp_path: Path) -> None:
    asyncio.run(play(tmp_path, views="", history="false"))
    assert "7 events, 12 rows" in invoke(tmp_path, "materialize").output
    assert "7" in invoke(tmp_path, "history", "--world", "w").output


def test_labels_are_joined_to_what_was_known(tmp_path: Path) -> None:
    asyncio.run(play(tmp_path))
    labels, out = tmp_path / "labels.csv", tmp_path / "out.parquet"
    labels.write_text("kind,entity,at_s,churned\nplayer,ann,7200,0\nplayer,ann,7201,1\nnpc,nobody,9,1\n")
    invoke(tmp_path, "history", "--world", "w", "--labels", str(labels), "--out", str(out))
    table = pq.read_table(out)
    assert table.column("churned").to_pylist() == [0, 1, 1]
    assert table.column("talks").to_pylist()[:2] == [1.0, 2.0]
    assert np.isnan(table.column("talks").to_pylist()[2])
    with pytest.raises(Conflict):
        invoke(tmp_path, "history", "--world", "w", "--labels", str(labels), "--out", str(out))


def test_a_transformation_writes_its_rows(tmp_path: Path) -> None:
    asyncio.run(play(tmp_path))
    out = tmp_path / "days"
    invoke(tmp_path, "transform", "days", "--world", "w", "--out", str(out))
    rows = {row["entity"]: row["talks_today"] for row in pq.read_table(out).to_pylist()}
    assert rows == {"ann": 5.0, "mara": 0.0}


def test_a_world_without_history_says_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        invoke(tmp_path, "history", "--world", "nowhere")
    assert "materialize" in missing.value.hint


def test_the_history_of_a_running_server_is_not_written_by_another(tmp_path: Path) -> None:
    asyncio.run(play(tmp_path))

    async def run() -> None:
        innkeeper = await opened(tmp_path, views="people", history="true")
        try:
            with pytest.raises(Conflict, match="another process"):
                await asyncio.to_thread(invoke, tmp_path, "materialize", "--rebuild")
            await asyncio.to_thread(invoke, tmp_path, "history", "--world", "w")
        finally:
            await innkeeper.close()

    asyncio.run(run())


def test_a_killed_server_s_history_is_complete_after_the_next_one(tmp_path: Path) -> None:
    chosen = ("--set", "features.views=people", "--set", "features.history=true", "--set", "features.keep_ms=50")
    talk = {"verb": "talked", "actor": "ann", "target": "mara"}
    server = servers.start(tmp_path, *chosen)
    server.post("/v1/world/create", {"world": "w"})
    people = [{"type": "npc", "id": "mara"}, {"type": "player", "id": "ann"}]
    assert server.post("/v1/world/upsert", {"world": "w", "entities": people})[0] == 200
    for _ in range(40):
        assert server.post("/v1/world/event", {"world": "w", "events": [talk]})[0] == 200
    server.kill()
    server = servers.start(tmp_path, *chosen)
    assert server.post("/v1/world/event", {"world": "w", "events": [talk]})[0] == 200
    assert server.get("/health/ready")[1]["degraded"] == []
    assert server.stop() == 0
    files = sorted((tmp_path / "features").rglob("*.parquet"), key=lambda path: path.name)
    live = pa.concat_tables([pq.read_table(path) for path in files])
    assert live.num_rows == 2 + 2 * 41
    invoke(tmp_path, "materialize", "--rebuild")
    again = pa.concat_tables([pq.read_table(path) for path in (tmp_path / "features").rglob("*.parquet")])
    assert again.sort_by([("seq", "ascending"), ("entity", "ascending")]).equals(
        live.sort_by([("seq", "ascending"), ("entity", "ascending")])
    )
