"""The pages for writers say what the engine does: their personas decode, their answers are given."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import msgspec

from app.engines.authored import grammar, open_authored
from app.modules.dialogue import intents
from app.world.entities import AnyEntity, Npc, Persona
from app.world.scene import Intent, Known, Scene, Someone

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
ENGINE = open_authored()
LEXICON = intents.load("en")


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)


def npc_of(text: str) -> Npc:
    found = msgspec.json.decode(text, type=AnyEntity)
    assert isinstance(found, Npc)
    return found


def answers(npc: Npc, heard: str, known: tuple[Known, ...] = ()) -> set[str]:
    scene = Scene(
        npc=Someone(id=npc.id, name=npc.name, role=npc.archetype), persona=npc.persona,
        listener=Someone(id="p1", name="Robin"), heard=heard, intent=LEXICON.read(heard).intent, known=known,
    )  # fmt: skip
    return {ENGINE.line(scene, seed) for seed in range(20)}


def test_personas_of_the_pages_are_entities() -> None:
    texts = [*blocks("write-a-persona.md", "json"), *blocks("authored-lines.md", "json")]
    assert [npc_of(text).id for text in texts] == ["bram", "mira"]


def test_table_of_answers_is_what_is_answered() -> None:
    page = (PAGES / "authored-lines.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \|$", page.split("| Mira says |\n|---|---|\n")[1].split("\n\n")[0] + "\n", re.M
    )
    mira = npc_of(blocks("authored-lines.md", "json")[0])
    toll = (Known(subject_id="bridge", subject="Stone Bridge", predicate="toll", value="3"),)
    assert len(rows) == 3
    for heard, line in rows:
        assert line in answers(mira, heard, toll), (heard, answers(mira, heard, toll))
    assert not any("bridge takes" in line for line in answers(mira, "how much is the toll"))


def test_voices_of_the_page_are_the_grammars_and_say_what_it_says() -> None:
    page = (PAGES / "write-a-persona.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| ([^|]+), \.\.\. \| ([^|]+) \|$", page, re.M)
    voices = grammar.load("en").voices
    assert {voice for voice, _, _ in rows} == voices.keys()
    for voice, words, line in rows:
        assert set(words.split(", ")) <= set(voices[voice])
        scene = Scene(
            npc=Someone(id="n", name="Bo"), persona=Persona(voice=voice), listener=Someone(id="p", name="Robin"),
            intent="insult", heard="fool",
        )  # fmt: skip
        assert line in {ENGINE.line(scene, seed) for seed in range(80)}, line


def test_every_intent_is_named_and_the_sample_grammar_is_the_real_one() -> None:
    page = (PAGES / "authored-lines.md").read_text(encoding="utf-8")
    assert all(f"`{intent}`" in page for intent in get_args(Intent) if intent != "chatter")
    sample = tomllib.loads(blocks("authored-lines.md", "toml")[0])["symbols"]["thank"]
    real = {grammar._variant("thank", text) for text in sample}
    assert real <= set(grammar.load("en").symbols["thank"])
