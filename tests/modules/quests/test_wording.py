"""Quests made with words, through the module: what a model writes is checked, paid for once, and never waited for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.core.clock import SystemClock
from app.core.words import Words
from app.engines.orchestration.orchestrator import Orchestrator
from app.modules.quests.messages import Generate, QuestReply
from app.modules.quests.settings import Settings
from app.world.entities import Persona
from app.world.events import WordsUsed
from tests.engines.conftest import open_at
from tests.modules.behavior.stage import Watch
from tests.modules.quests.stage import Stage, happened
from tests.modules.quests.test_model_prose import LIES, liar
from tests.modules.quests.villages import village
from tests.standin import Standin


def asked(seed: int = 1, *, words: bool = True, key: str = "") -> Generate:
    return Generate(giver="npc0", player="hero", seed=seed, words=words, key=key)


def stage_with(words: Words | None, **settings: object) -> Stage:
    return Stage(village(1), Settings(**settings), words)  # type: ignore[arg-type]  # settings by name


def bills(stage: Stage) -> list[WordsUsed]:
    return [event.change for event in stage.journal.events if isinstance(event.change, WordsUsed)]


async def test_a_liar_s_words_reach_no_player_and_are_paid_for_once() -> None:
    heard: list[dict[str, Any]] = []

    def say(body: dict[str, Any]) -> str:
        heard.append(body)
        return liar(body)

    async with Standin(say=say) as standin:
        words = Orchestrator([open_at("openai", standin)], clock=SystemClock(), watcher=Watch())
        stage = stage_with(words)
        first = await stage.ask(asked(key="k"))
        again = await stage.ask(asked(key="k"))
        await words.close()
    assert isinstance(first, QuestReply)
    assert isinstance(again, QuestReply)
    assert first.quest == again.quest
    assert first.ai_generated
    told = " ".join(text.text for text in first.quest.texts)
    assert not any(lie and lie in told for lie in LIES)
    assert [(bill.npc, bill.player) for bill in bills(stage)] == [("npc0", "hero")]
    assert len(heard) == 1


async def test_a_quest_without_words_asks_no_model() -> None:
    async with Standin(say=liar) as standin:
        words = Orchestrator([open_at("openai", standin)], clock=SystemClock(), watcher=Watch())
        stage = stage_with(words)
        quest = await stage.quest(asked(words=False))
        await words.close()
    assert not quest.ai_generated
    assert bills(stage) == []


@pytest.mark.parametrize("fault", ["500", "hang"])
async def test_a_dead_or_slow_model_leaves_the_grammar_s_quest(fault: Any) -> None:
    plain = await stage_with(None).quest(asked())
    async with Standin(fault=fault) as standin:
        words = Orchestrator([open_at("openai", standin)], clock=SystemClock(), watcher=Watch())
        quest = await stage_with(words, words_ms=400).quest(asked())
        await words.close()
    assert quest == plain


@pytest.mark.parametrize(("spoken", "told"), [("de", "de"), ("de-AT", "de"), ("tlh", "en"), ("en", "en")])
async def test_a_giver_speaks_its_own_language_where_there_is_a_grammar(spoken: str, told: str) -> None:
    stage = stage_with(None)
    npcs = stage.world.state.npcs
    npcs["npc0"] = msgspec.structs.replace(npcs["npc0"], persona=Persona(language=spoken))
    assert (await stage.quest(asked(words=False))).language == told
    wanted = msgspec.structs.replace(asked(2, words=False), language="en")
    assert (await stage.quest(wanted)).language == "en"


async def test_the_next_quest_keeps_away_from_the_words_of_the_last() -> None:
    told: dict[int, list[str]] = {}
    plots: dict[int, list[str]] = {}
    for most in (0, 40):
        stage = stage_with(None, heard_max=most)
        quests = [await stage.quest(asked(seed, words=False)) for seed in range(24)]
        told[most] = [quest.description for quest in quests]
        plots[most] = [quest.strategy for quest in quests]
    assert plots[0] == plots[40]
    assert told[0] != told[40]


async def test_a_new_way_has_texts_of_its_own() -> None:
    mended = 0
    for seed in range(12):
        stage = Stage(village(seed))
        quest = await stage.begun("npc0", seed)
        for step in quest.steps:
            for victim in (step.event.actor, step.event.target):
                if victim in stage.world.state.npcs and stage.world.state.npcs[victim].alive:
                    await stage.post(happened("died", actor=victim))
        now = stage.now(quest.id)
        if now.replanned == 0:
            continue
        mended += 1
        texts = {text.id: text for text in now.texts}
        for step in now.steps:
            assert texts[f"step.{step.id}"].text == step.text
            assert texts[f"step.{step.id}"].template
    assert mended > 0
