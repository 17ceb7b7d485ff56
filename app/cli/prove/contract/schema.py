"""Schemathesis over the served document: every check, every phase, as two tenants; in a process of its own.

It writes the tool's configuration, runs it until enough was asked, and counts what it found.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.build import ROOT
from app.cli.prove.contract.world import Contested
from app.cli.prove.figures import Figure, Gap, Outcome, Plan
from app.core.errors import Broken

TOOL = "schemathesis"
ENDLESS = "/v1/worlds/{world}/live"
"""A stream without an end, which no tool of requests and answers can wait for."""
RUN_S_MAX = 900
FOUND = (0, 1)
"""Exit codes of a run that came to its end."""
REFUSED = ("401", "402", "403", "404", "409", "413", "429", "503", "504")
"""What may become of valid data, given who asks, for what, when and how much."""
RULES = {
    "behavior.assign": "a brain is one that is loaded, and fits the NPC's schema",
    "behavior.decide": "each part comes in one of its forms, for as many NPCs as there are, of a schema that is known",
    "behavior.intent": "the intents are those of the schemas that are loaded",
    "behavior.feedback": "there is one reward for each NPC, and the profile may record nothing",
    "behavior.formation": "the squads must be there",
    "behavior.schedule": "the schedules are those of the files",
    "behavior.squad": "a leader and who has a role are members, once each",
    "behavior.steer": "intents, roles and features are those of the schema, and a rule is a bonus or a veto",
    "characters.generate": "the trade and the culture must be known, and a plan with trades of its own takes none",
    "content.check": "the language is one that ships",
    "content.generate": "kinds, languages, events and facts are those that there are, and a key is for what is kept",
    "dialogue.open": "speakers must be of the world, and an NPC does not speak with itself",
    "dialogue.join": "a participant is of the world, and there is room for it",
    "dialogue.leave": "somebody must be left to talk",
    "dialogue.say": "a speaker must take part in the dialogue, and a whisper has one hearer",
    "memory.forget": "exactly one of ids, thread and about says what goes",
    "memory.note": "a source is a word of the list or names who told it, and only NPCs pin",
    "memory.tell": "an NPC tells another what it remembers",
    "obstacle.add": "on a navmesh neither cells nor what clears ground may stand",
    "path.distance": "there are as many starts as goals",
    "path.field": "goals are places of the map's kind",
    "path.find": "there are as many starts as goals",
    "path.flee": "places are of the map's kind",
    "path.nearest": "reach_from is one cell or one for each",
    "path.preview": "what to show and the ways are little languages of their own",
    "path.random_point": "the profile bounds the radius",
    "path.raycast": "there are as many starts as ends",
    "path.reachable": "there are as many starts as goals",
    "path.sample": "points are pairs",
    "path.steer": "all arrays are of one crowd",
    "path.upload": "the bytes must be a map",
    "post_anthropic_v1_messages": "blocks and tools are of kinds that are read, and the tool chosen is there",
    "post_api_v1_generate": "it answers whole",
    "post_openai_v1_chat_completions": "parts and tools are of kinds that are read, and there is one answer, in text",
    "post_v1_keys": "a key is for a role or for scopes, and no more than the caller's",
    "post_v1_operators": "a login is no blank text",
    "post_v1_prompts_prompt_lint": "a prompt has the name that the path says",
    "post_v1_prompts_prompt_versions": "a prompt has the name that the path says, and its templates are sound",
    "put_v1_prompts_prompt_labels_label": "a label points to versions that are there, once each",
    "put_v1_settings": "a tenant narrows the profile and names engines that are there",
    "put_v1_worlds_world_maps_map_name": "the bytes must be a map",
    "quests.export": "a column map is TOML that names tables, and the quest's own fields",
    "quests.generate": "motive, actions and language must be known, and who shares it must fit its scope",
    "quests.audit": "the start must be a location",
    "quests.offer": "either quest or kept is sent, and the quest must be sound, and name its player",
    "quests.verify": "steps name actions of the library",
    "world.assert": "a fact ends after it begins",
    "world.report": "there are as many positions as handles",
    "world.upsert": "what an entity names must be of the right kind",
}
"""Operations whose valid data has rules between its parts, which JSON Schema cannot say: 400 is right there too."""


def run(plan: Plan, stage: Contested) -> Iterator[Outcome]:
    """Ask until there were enough requests; each round has a seed of its own."""
    if importlib.util.find_spec(TOOL) is None:
        yield Gap(suite="B", name="contract fuzz", lacks=f"{TOOL}; uv sync --group dev")
        return
    folder = plan.folder / TOOL
    folder.mkdir()
    config = _configure(folder, stage)
    asked = operations = rounds = 0
    found: dict[str, int] = {}
    while asked < plan.of(quick=1_500, full=20_000):
        report = _round(plan, folder, config, stage.child.port, rounds)
        rounds += 1
        asked += report["test_cases"]["generated"]
        operations = report["operations"]["tested"]
        for one in [*report["failures"], *report["errors"]]:
            found[one["title"]] = found.get(one["title"], 0) + one["count"]
            plan.told(f"  {one['title']}: {', '.join(one['operations'])}")
    plan.told(f"  {TOOL}: {asked} requests in {rounds} rounds to {operations} operations; found {found or 'nothing'}")
    broken = sum(count for title, count in found.items() if "Server error" in title)
    undocumented = sum(count for title, count in found.items() if "ndocumented" in title)
    yield _figure("requests by schema", asked, plan.of(quick=1_500, full=20_000), least=True)
    yield _figure("operations asked", operations, 30, least=True)
    yield _figure("answers with a fault of ours", broken, 0)
    yield _figure("answers that are not in the document", undocumented, 0)
    yield _figure("other findings of all checks", sum(found.values()) - broken - undocumented, 0)


def _figure(name: str, value: int, bound: int, *, least: bool = False) -> Figure:
    return Figure(suite="B", name=name, value=value, unit="count", bound=bound, side="at_least" if least else "at_most")


def _configure(folder: Path, stage: Contested) -> Path:
    """The tool's configuration, and the file of its two users."""
    users = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
        for name, key in zip(("own", "rival"), stage.keys, strict=True)
    ]
    (folder / "users.json").write_text(json.dumps({"auth": users}))
    lines = [
        'hooks = "app.cli.prove.contract.hooks"',
        "request-timeout = 20",
        "[auth.wfc]",
        f"path = {json.dumps(str(folder / 'users.json'))}",
        'peers = ["own", "rival"]',
        "[checks]",
        f"positive_data_acceptance.expected-statuses = {json.dumps(['2xx', *REFUSED])}",
        'negative_data_rejection.expected-statuses = ["4xx", "503", "504"]',
        'not_a_server_error.expected-statuses = ["2xx", "4xx", "503", "504"]',
        "[[operations]]",
        f"include-path = {json.dumps(ENDLESS)}",
        "enabled = false",
    ]
    for operation in RULES:
        lines += [
            "[[operations]]",
            f"include-operation-id = {json.dumps(operation)}",
            f"checks.positive_data_acceptance.expected-statuses = {json.dumps(['2xx', '400', *REFUSED])}",
        ]
    path = folder / "schemathesis.toml"
    path.write_text("\n".join(lines))
    return path


def _round(plan: Plan, folder: Path, config: Path, port: int, number: int) -> Any:
    """One run of the tool; its report."""
    report = folder / f"report-{number}.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
        f"http://127.0.0.1:{port}/openapi.json",
        *("--max-examples", str(plan.of(quick=5, full=100)), "--seed", str(plan.seed + number)),
        *("--checks", "all", "--continue-on-failure", "--no-color", "--generation-database", "none"),
        *("--report", "json", "--report-json-path", str(report)),
        *(("--no-shrink", "--max-time", "20") if plan.scale == "quick" else ()),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / f"run-{number}.txt").open("wb") as out:
        code = subprocess.run(  # noqa: S603  # our own interpreter
            command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=environment, timeout=RUN_S_MAX, check=False
        ).returncode
    if code not in FOUND or not report.exists():
        raise Broken(f"{TOOL} ended with {code}", hint=f"see {out.name}")
    return json.loads(report.read_bytes())
