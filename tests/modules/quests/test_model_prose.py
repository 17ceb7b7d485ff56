"""Quest texts by a model that invents names and numbers: what reaches a player speaks of bound entities alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.core.clock import Deadline, SystemClock
from app.core.words import Bill
from app.engines.orchestration.orchestrator import Orchestrator
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.checker import Checker, faults
from app.modules.quests.prose.grammar import load_grammar
from app.modules.quests.prose.model import Ask, reworded
from app.modules.quests.quest import Quest
from tests.engines.conftest import open_at
from tests.modules.behavior.stage import Watch
from tests.modules.quests.test_prose import made, named
from tests.prompts import registry
from tests.standin import Standin

HONEST = {"en": "Well then:", "de": "Nun also:"}
LIES = ("Gorbash waits there too.", "It costs 500 coins.", "Bring three of them.", "Beware of Lord Tharn!", "")


def drafts(body: dict[str, Any]) -> list[dict[str, str]]:
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"id"')]


def liar(body: dict[str, Any]) -> str:
    """Each text as drafted, with a lie behind it; every fifth is left honest and begins anew."""
    language = "de" if 'the language \\"de\\"' in json.dumps(body) else "en"
    said = [
        {
            "id": row["id"],
            "text": f"{row['draft']} {LIES[at % 5]}" if LIES[at % 5] else f"{HONEST[language]} {row['draft']}",
        }
        for at, row in enumerate(drafts(body))
    ]
    return json.dumps({"texts": said})


async def worded(standin: Standin, quest: Quest, view: View, milliseconds: float = 5_000.0) -> tuple[Quest, Bill]:
    words = Orchestrator([open_at("openai", standin)], clock=SystemClock(), watcher=Watch())
    bill = Bill()
    ask = Ask(
        tenant="studio", world="vale", deadline=Deadline.after_ms(milliseconds, SystemClock()),
        output_tokens_max=2_000, bill=bill,
    )  # fmt: skip
    try:
        return await reworded(quest, view, words=words, prompts=registry(), ask=ask), bill
    finally:
        await words.close()


@pytest.mark.parametrize("language", ["en", "de"])
async def test_what_a_liar_writes_never_names_or_counts_what_is_not_bound(language: str) -> None:
    kept = 0
    async with Standin(say=liar) as standin:
        for seed in range(24):
            quest = made(seed % 6, seed, language)
            if quest is None:
                continue
            found, bill = await worded(standin, quest, named(seed % 6))
            assert faults(found, load_grammar(language), named(seed % 6)) == {}
            told = " ".join(text.text for text in found.texts)
            assert not any(lie and lie in told for lie in LIES)
            assert bill.items
            changed = [text.id for text in found.texts if text not in quest.texts]
            assert found.ai_generated == bool(changed)
            assert {step.text for step in found.steps} <= {text.text for text in found.texts}
            kept += len(changed)
    assert kept > 0


@pytest.mark.parametrize("fault", ["500", "hang", "cut", "garbage", "none"])
async def test_without_an_answer_the_grammar_s_texts_stay(fault: Any) -> None:
    quest = made(1, 1)
    assert quest is not None
    async with Standin(fault=fault) as standin:
        found, _ = await worded(standin, quest, named(1), 600.0)
        assert found == quest


async def test_a_model_is_told_of_bound_entities_alone() -> None:
    quest = made(2, 2)
    assert quest is not None
    view = named(2)
    prompts: list[str] = []

    def listen(body: dict[str, Any]) -> str:
        prompts.append(json.dumps(body, ensure_ascii=False))
        return liar(body)

    async with Standin(say=listen) as standin:
        await worded(standin, quest, view)
    bound = {text for entry in quest.texts for text in entry.entities} | set(quest.roles.values()) | {"hero"}
    used = {
        id for step in quest.steps for id in (step.event.actor, step.event.target, step.event.item, step.event.location)
    }
    for table in (view.npcs, view.items, view.locations):
        for id in table:
            if id not in bound | used and not any(view.name(id) in view.name(other) for other in bound | used):
                assert view.name(id) not in prompts[0]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Frag dort Frau Sommer."),
        ("de", "Der Rat von Hauptmann Winter zählt."),
        ("en", "Ask Captain Frost there."),
    ],
)
def test_an_ordinary_word_behind_a_title_is_a_name(language: str, text: str) -> None:
    checker = Checker(load_grammar(language), named(1), ("hero",))
    assert "name" in checker.fault(text)
    assert "name" in checker.title_fault(text)


def test_a_title_before_a_bound_name_is_no_fault() -> None:
    view = named(1)
    who = next(iter(view.npcs))
    assert Checker(load_grammar("en"), view, (who,)).fault(f"Ask captain {view.name(who)} there.") == ""
