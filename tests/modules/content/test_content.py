"""Previews keep nothing, commits keep all at once, retries are told the same, and models are checked."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from app.core.errors import Conflict, Invalid, NotFound
from app.core.words import Completion
from app.modules.content import messages
from app.modules.content.messages import Barks, Check, Checked, Generate, Generated, Items, Lore
from app.world.entities import Npc, Player
from app.world.lore import lore_for
from tests.modules.content.valley import Stage, valley
from tests.modules.dialogue.village import Script
from tests.servers import ROOT

LORE = Lore(subjects=("inn", "carters", "watch", "mira"))


async def made(stage: Stage, make: Items | Lore | Barks, **more: object) -> Generated:
    reply = await stage.ask(Generate(make=make, **more))  # type: ignore[arg-type]  # fields by name
    assert isinstance(reply, Generated)
    return reply


@pytest.mark.parametrize(
    "make",
    [Items(level=5, count=9, opens=("vault",)), LORE, Barks(npc="anna", events=("stole", "idle"), moods=("grim",))],
)
async def test_a_preview_changes_nothing_and_a_commit_keeps_the_same(make: Items | Lore | Barks) -> None:
    stage = Stage(valley())
    before = msgspec.msgpack.encode(stage.world.state)
    preview = await made(stage, make, seed=3)
    assert msgspec.msgpack.encode(stage.world.state) == before
    committed = await made(stage, make, seed=3, commit=True, key="k")
    for field in ("items", "notes", "lore", "facts", "barks", "short"):
        assert getattr(committed, field) == getattr(preview, field), field
    count = len(stage.journal.events)
    again = await made(stage, make, seed=3, commit=True, key="k")
    assert again == committed
    assert len(stage.journal.events) == count
    with pytest.raises(Conflict, match="another request"):
        await made(stage, make, seed=4, commit=True, key="k")


async def test_items_are_the_world_s_own_and_a_unique_one_comes_once() -> None:
    stage = Stage(valley())
    names: list[str] = []
    for seed in range(12):
        reply = await made(
            stage, Items(level=9, count=20, rarity="legendary", holder="mira"), seed=seed, commit=True, key=f"{seed}"
        )
        for item, note in zip(reply.items, reply.notes, strict=True):
            kept = stage.world.state.items[item.id]
            assert kept == item
            assert kept.holder == "mira"
            assert "unique" in kept.tags
            assert note.budget_min <= note.power <= note.budget_max
            names += {note.names["en"], note.names["de"]}
    assert len(names) == len(set(names))
    assert len(names) > 300


async def test_lore_that_was_kept_is_called_in_talk_by_its_keys_for_those_who_may_know() -> None:
    stage = Stage(valley())
    reply = await made(stage, LORE, seed=3, commit=True, key="k")
    world, mira, anna = stage.world, stage.world.npc("mira"), stage.world.npc("anna")
    robin = world.state.players["p1"]

    def called(npc: Npc, text: str, listener: Npc | Player | None) -> set[str]:
        return {
            each.subject_id for each in lore_for(world, npc, [text], most=9, characters_max=9_000, listener=listener)
        }

    assert called(anna, "Tell me of the Gilded Goose.", robin) == {"lore:made-inn"}
    secret = {text.id for text in reply.lore if text.known_by == ("mira",)}
    assert secret
    assert secret & called(mira, "The Gilded Goose, and Mira?", None) == secret
    assert not secret & called(anna, "The Gilded Goose, and Mira?", robin)
    for text in reply.lore:
        for sentence in text.sentences:
            for key in sentence.cites:
                subject, _, predicate = key.rpartition(" ")
                source = next(fact.source for fact in reply.facts if fact.key == key)
                assert source == "derived" or world.fact(subject, predicate) is not None
    checked = await stage.ask(
        Check(
            sentences=tuple(
                messages.Claim(text=each.text, cites=each.cites) for text in reply.lore for each in text.sentences
            )
        )
    )
    assert isinstance(checked, Checked)
    assert checked.ok, checked.findings


async def test_a_fact_about_nobody_is_worth_a_look() -> None:
    about = [messages.FactDraft(subject=id, predicate="p", value=1) for id in ("nowhere", "inn", "world")]
    checked = await Stage(valley()).ask(Check(facts=tuple(about)))
    assert isinstance(checked, Checked)
    assert checked.ok
    assert [(one.of, one.level, one.rule) for one in checked.findings] == [("nowhere p", "warning", "subject")]


async def test_lore_made_again_keeps_what_was_founded() -> None:
    stage = Stage(valley())
    first = await made(stage, LORE, seed=3, commit=True, key="a")
    held = {fact.key: fact.fact.value for fact in first.facts}
    second = await made(stage, LORE, seed=9, commit=True, key="b")
    for fact in second.facts:
        assert fact.key not in held or (fact.source != "founded" and fact.fact.value == held[fact.key])


async def test_barks_go_to_the_persona_and_leave_everything_else_of_the_npc() -> None:
    stage = Stage(valley())
    anna = stage.world.npc("anna")
    reply = await made(
        stage,
        Barks(npc="anna", events=("stole",), moods=("", "angry"), relations=("foe",), count=3),
        commit=True,
        key="k",
    )
    now = stage.world.npc("anna")
    assert {row.intent: row.lines for row in reply.barks} == now.persona.lines
    assert set(now.persona.lines) == {"bark_stole.foe", "bark_stole.angry.foe"}
    assert msgspec.structs.replace(now, persona=anna.persona) == anna
    with pytest.raises(Conflict, match="bytes of barks"):
        await made(stage, Barks(npc="anna", events=("stole", "idle"), count=100), commit=True, key="l")


@pytest.mark.parametrize(
    ("make", "error", "named"),
    [
        (Items(kinds=("sord",)), Invalid, "'sord'"),
        (Items(rarity="mythic"), Invalid, "'mythic'"),
        (Items(opens=("attic",)), NotFound, "'attic'"),
        (Items(holder="nobody"), NotFound, "'nobody'"),
        (Items(count=500), Invalid, "500 items"),
        (Lore(subjects=("nowhere",)), NotFound, "'nowhere'"),
        (Lore(subjects=("p1",)), Invalid, "player"),
        (Lore(subjects=("inn",), known_by=("nobody",)), NotFound, "known_by names 'nobody'"),
        (Lore(subjects=("inn",), language="fr"), Invalid, "'fr'"),
        (Items(language="klingon"), Invalid, "'klingon'"),
        (Barks(events=("idle",), language="fr"), Invalid, "'fr'"),
        (Barks(events=("sneezed",)), Invalid, "'sneezed'"),
        (Barks(events=("idle",), facts=("inn age",)), NotFound, "'inn age'"),
        (Barks(events=("idle",), facts=("anna secret",)), Conflict, "'anna secret'"),
        (Barks(npc="mira", events=("idle",), facts=("anna secret",)), Conflict, "'anna secret'"),
        (Barks(events=("idle",), count=401), Invalid, "401 barks"),
    ],
)
async def test_what_cannot_be_made_is_refused_by_name(
    make: Items | Lore | Barks, error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        await made(Stage(valley()), make, seed=1)


async def test_an_npc_of_a_language_that_does_not_ship_barks_in_english() -> None:
    stage = Stage(valley())
    anna = stage.world.npc("anna")
    persona = msgspec.structs.replace(anna.persona, language="fr")
    stage.world.state.npcs["anna"] = msgspec.structs.replace(anna, persona=persona)
    reply = await made(stage, Barks(npc="anna", events=("idle",), count=2), seed=1)
    assert len(reply.barks[0].lines) == 2


async def test_a_secret_is_told_only_by_a_mouth_that_may_know_it() -> None:
    reply = await made(Stage(valley()), Barks(npc="anna", events=("idle",), facts=("anna secret",), count=2), seed=1)
    assert all("She took the toll money." in line for line in reply.barks[0].lines)


def rows_of(completion: Completion) -> list[str]:
    return completion.parts[-1].text.splitlines()


async def test_a_model_s_sentences_stand_where_they_hold_and_are_marked() -> None:
    def write(completion: Completion) -> str:
        return "\n".join(f"They say of {row.split('] ')[1].split(':')[0]}: {row.split(' = ')[1]} [{n}]"
                         for n, row in enumerate(rows_of(completion), 1))  # fmt: skip

    stage = Stage(valley(), words=Script(write))
    make = Lore(subjects=("inn",), words=True)
    reply = await made(stage, make, seed=3, commit=True, key="k")
    assert reply.ai_generated
    assert reply.rung == "words"
    assert all(each.text.startswith("They say of") for text in reply.lore for each in text.sentences)
    assert await made(stage, make, seed=3, commit=True, key="k") == reply


@pytest.mark.parametrize(
    "write",
    [
        lambda _: "The inn was founded by Gorbag in 9999. [1]",
        lambda rows: "\n".join(
            f"{row.split(' = ')[1]} and the knight Gorbag [{n}]" for n, row in enumerate(rows_of(rows), 1)
        ),
        lambda rows: "\n".join(f"Fine. [{n}]" for n, _ in enumerate(rows_of(rows), 1)),
        lambda rows: f"{rows_of(rows)[0].split(' = ')[1]} [1]",
        lambda _: "No numbers at all.",
        lambda _: "[99] Out of range.",
        lambda _: "",
    ],
)
async def test_a_model_that_invents_leaves_out_or_cites_nothing_gives_way_to_the_grammar(write: object) -> None:
    make = Lore(subjects=("inn",), words=True)
    plain = await made(Stage(valley()), make, seed=3)
    stage = Stage(valley(), words=Script(write))  # type: ignore[arg-type]  # a lambda for each case
    reply = await made(stage, make, seed=3)
    assert not reply.ai_generated
    assert reply.lore == plain.lore


async def test_a_check_finds_each_fault_and_nothing_in_what_was_made() -> None:
    stage = Stage(valley())
    items = (await made(stage, Items(level=5, count=40), seed=1)).items
    drafts = tuple(
        messages.ItemDraft(
            id=item.id, name=item.name, item_kind=item.item_kind, value=item.value, tags=item.tags,
            attributes=item.attributes,
        )
        for item in items
    )  # fmt: skip
    sound = await stage.ask(Check(items=drafts))
    assert sound == Checked(ok=True, findings=())
    strong = msgspec.structs.replace(drafts[0], attributes={**drafts[0].attributes, "damage": 900.0})
    fact = messages.FactDraft(subject="watch", predicate="ruler", value="Olaf")
    claims = (messages.Claim(text="Nice."), messages.Claim(text="The cellar is older.", cites=("inn rumor",)))
    checked = await stage.ask(Check(items=(strong, *drafts[1:]), facts=(fact,), sentences=claims))
    assert isinstance(checked, Checked)
    assert not checked.ok
    errors = {(one.of, one.rule) for one in checked.findings if one.level == "error"}
    assert errors == {(strong.id, "budget"), ("watch ruler", "canon"), ("0", "cites")}


PROGRAM = """
import hashlib, msgspec
from app.modules.content import logic, messages
from app.modules.content.settings import Settings
from tests.modules.content.valley import valley
library, world, settings = logic.load_library(), valley(), Settings()
items = logic.items(library, world, messages.Items(level=7, count=60), 5, settings)
canon, founded, entries = logic.entries(library, world, messages.Lore(subjects=tuple(world.state.npcs)), 5, settings)
barks = logic.barks(library, world, messages.Barks(events=("stole", "weather"), count=60), 5, settings)
whole = [items.changes, logic.kept(founded, entries).changes, barks.lines]
print(hashlib.sha256(msgspec.msgpack.encode(whole)).hexdigest())
"""


def test_the_same_seed_in_the_same_world_gives_the_same_bytes_in_any_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True, text=True, check=True, cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("0", "1", "77")
    }  # fmt: skip
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64
