"""Play recorded by a real server over its socket, then a power cut, then the same decisions in another process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.modules.behavior.playing import files, rewards, ticks
from tests.modules.behavior.stage import LAYOUT, ROLES, handles, observations
from tests.servers import ROOT, Link, Server, connect, running

NPCS = 40
RECORD = (
    "--set", "modules.behavior.recording.enabled=true", "--set", "modules.behavior.recording.npc_share=1.0",
    "--set", "modules.behavior.policy_reserve_ms=1000",
)  # fmt: skip


async def play(link: Link, *, first: int, deadline_ms: int) -> None:
    """Ten ticks with NaN rows, a mask that allows nothing, and a directive."""
    generator = np.random.default_rng(first)
    for tick in range(first, first + 10):
        obs = observations(NPCS, seed=tick)
        obs[3, 5], obs[4, 0] = np.nan, 99.0
        mask = (generator.random((NPCS, 12)) < 0.7).astype(np.uint8)
        mask[7] = 0
        data = {"tick": tick, "handles": handles(NPCS), "obs": obs.tobytes(), "mask": mask.tobytes()}
        reply = await link.ask("behavior.decide", data, deadline_ms=deadline_ms)
        assert reply["ok"], reply


async def populate(server: Server, link: Link) -> None:
    assert server.post("/v1/world/create", {"world": "w"})[0] == 200
    people = [{"type": "npc", "id": f"n{index}", "archetype": ROLES[index % 5]} for index in range(NPCS)]
    assert (await link.ask("world.upsert", {"entities": people}))["ok"]
    assert (await link.ask("behavior.intent", {"npc": "n5", "intent": "patrol"}))["ok"]


def replayed(path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """(exit code, what `behavior replay --json` says)."""
    command = [sys.executable, str(ROOT / "manage.py"), "behavior", "replay", str(path), "--json", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


async def test_play_recorded_over_a_socket_replays_in_another_process_after_a_kill(tmp_path: Path) -> None:
    with running(tmp_path, *RECORD, mode=2) as server:
        async with connect(server, packed=True, world="w") as link:
            await populate(server, link)
            await play(link, first=100, deadline_ms=10_000)
            await play(link, first=200, deadline_ms=900)  # too little for the policy: the rules answer
            feedback = {"tick": 105, "npcs": ["n0", "n1"], "rewards": [1.5, -2.0], "key": "k"}
            for _ in range(2):
                assert (await link.ask("behavior.feedback", feedback))["data"]["recorded"] == 2
            server.kill()
    folder = tmp_path / "recordings"
    found = ticks(folder)
    assert [record.head.tick for record in found] == [*range(100, 110), *range(200, 210)], "what was acknowledged"
    assert [record.arrays["reward"].tolist() for record in rewards(folder)] == [[1.5, -2.0]]
    assert {name for record in found for name in record.context.rungs} == {"policy", "utility", "reflex"}
    assert found[0].context.model
    assert found[0].context.runtime.startswith("onnxruntime")
    block = LAYOUT.block("told")
    assert found[0].obs[5, block.start + LAYOUT.intent_index["patrol"]] == 1.0, "with the directive"

    code, said = replayed(folder)
    assert (code, said["equal"], said["ticks"], said["rows"]) == (0, True, 20, 20 * NPCS)
    assert {"policy", "utility", "reflex"} == set(said["rungs"])
    assert not [why for why in said["why"] if "passes" not in why]

    code, said = replayed(folder, "--mode", "1")
    assert (code, said["equal"]) == (1, False)
    assert said["unrepeated_rows"] == said["rungs"]["policy"] >= 9 * (NPCS - 1)
    assert any("another model" in why for why in said["why"])

    torn = files(folder)[-1]
    torn.write_bytes(torn.read_bytes()[:-50_000])
    code, said = replayed(folder)
    assert code == 0
    assert said["ticks"] < 20
    assert said["damaged_files"]


def test_feedback_is_refused_in_words_where_nothing_is_recorded(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert server.post("/v1/world/create", {"world": "w"})[0] == 200
        status, problem = server.post(
            "/v1/behavior/feedback", {"world": "w", "tick": 1, "npcs": ["a"], "rewards": [1.0]}
        )
    assert (status, problem["code"]) == (409, "conflict")
    assert "recording" in problem["hint"]
