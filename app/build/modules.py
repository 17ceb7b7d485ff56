"""Builds the modules of a server over their ports: each with its settings, its engines and its rungs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from app.build import meanings
from app.build.embedder import open_embedder
from app.build.engines import Engines, open_network, open_on_gpu
from app.core.clock import Clock
from app.core.dialogue_records import LineRecords
from app.core.errors import EngineDown
from app.core.memory import Kept
from app.core.module import Module
from app.core.ports import Log
from app.core.profile import Profile
from app.core.prompts import Prompts
from app.core.reports import Reports
from app.core.tenants import Rules
from app.core.words import Words
from app.modules.behavior import module as behavior_module
from app.modules.behavior.recorder import open_recorder
from app.modules.behavior.settings import Settings as BehaviorSettings
from app.modules.characters import module as characters_module
from app.modules.characters.settings import Settings as CharactersSettings
from app.modules.content import module as content_module
from app.modules.content.settings import Settings as ContentSettings
from app.modules.dialogue import module as dialogue_module
from app.modules.dialogue.settings import Settings as DialogueSettings
from app.modules.memory import module as memory_module
from app.modules.memory.index import Words as Meanings
from app.modules.memory.minds import Minds
from app.modules.memory.settings import Settings as MemorySettings
from app.modules.pathfinding import module as pathfinding_module
from app.modules.pathfinding.settings import Settings as PathfindingSettings
from app.modules.quests import module as quests_module
from app.modules.quests.settings import Settings as QuestsSettings
from app.modules.world import module as world_module
from app.modules.world.settings import Settings as WorldSettings
from app.stores.journal import WorldJournal
from app.telemetry.metrics import RungWatch
from app.world.loops import Governor
from app.world.state import Worlds

MODULE_SETTINGS: Mapping[str, type[msgspec.Struct]] = {
    "world": WorldSettings,
    "behavior": BehaviorSettings,
    "pathfinding": PathfindingSettings,
    "dialogue": DialogueSettings,
    "memory": MemorySettings,
    "quests": QuestsSettings,
    "characters": CharactersSettings,
    "content": ContentSettings,
}


def build_modules(
    profile: Profile,
    engines: Engines,
    *,
    root: Path,
    folder: Path,
    worlds: Worlds,
    journal: WorldJournal,
    clock: Clock,
    watch: RungWatch,
    words: Words | None,
    authored: Words,
    prompts: Prompts,
    records: LineRecords | None,
    governor: Governor,
    remembered: Kept,
    reports: Reports,
    rules: Rules,
    log: Log,
) -> tuple[Module, ...]:
    """Every module, over worlds in RAM and the engines that the profile opened."""
    policy = open_network("policy", profile, engines, root=root)
    settings = profile.modules
    remembering = settings["memory"]
    embedder = open_embedder(profile, engines, remembering.embedding, root=root, clock=clock, log=log)
    minds = Minds(remembering, worlds, remembered, _meanings(root, log), embedder)
    return (
        world_module.build(settings=settings["world"], worlds=worlds, journal=journal, maker=journal),
        behavior_module.build(
            settings=settings["behavior"],
            worlds=worlds,
            journal=journal,
            clock=clock,
            watcher=watch,
            policy=policy,
            words=words,
            prompts=prompts,
            log=log,
            rungs=profile.ladder["behavior"],
            recorder=open_recorder(settings["behavior"].recording, folder, clock=clock, log=log),
        ),
        pathfinding_module.build(
            settings=settings["pathfinding"],
            worlds=worlds,
            journal=journal,
            history=journal,
            danger=open_network("danger", profile, engines, root=root),
            fields=open_on_gpu("fields", profile, engines, root=root),
            clock=clock,
            log=log,
        ),
        dialogue_module.build(
            settings=settings["dialogue"],
            worlds=worlds,
            journal=journal,
            clock=clock,
            watcher=watch,
            words=words,
            authored=authored,
            prompts=prompts,
            reports=reports,
            rungs=profile.ladder["dialogue"],
            memory=minds,
            records=records,
            governor=governor,
            rules=rules,
        ),
        quests_module.build(
            settings=settings["quests"],
            worlds=worlds,
            journal=journal,
            clock=clock,
            words=words,
            prompts=prompts,
        ),
        characters_module.build(
            settings=settings["characters"],
            worlds=worlds,
            journal=journal,
            clock=clock,
            words=words,
            prompts=prompts,
        ),
        content_module.build(
            settings=settings["content"],
            worlds=worlds,
            journal=journal,
            clock=clock,
            words=words,
            prompts=prompts,
        ),
        memory_module.build(
            settings=settings["memory"],
            worlds=worlds,
            journal=journal,
            clock=clock,
            minds=minds,
            words=words,
            prompts=prompts,
            log=log,
        ),
    )


def _meanings(root: Path, log: Log) -> Meanings | None:
    """What words mean; without its file NPCs are reminded by the same words alone."""
    try:
        return meanings.words(root)
    except EngineDown as error:
        log.warning("meanings.missing", reason=error.message)
        return None
