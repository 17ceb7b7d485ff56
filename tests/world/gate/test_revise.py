"""One sentence at the gate: what is so stays, what is not is mended, what cannot be mended is not said."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.world.entities import Fact, Item, Npc
from app.world.events import QuestRecorded
from app.world.gate.acts import Proposed, check_proposal
from app.world.gate.claims import check_claims
from app.world.gate.lexicon import LANGUAGES, lexicon_of
from app.world.gate.names import Names
from app.world.gate.promises import NEVER, promised
from app.world.gate.revise import Revision, revise
from app.world.state import World, pair
from tests.modules.dialogue.village import make_world, quest

WORLD = make_world(quests=[quest("q1", giver="borin")])
NAMES = Names.of(WORLD)


def revised(sentence: str, *offered: Proposed, npc: str = "anna", world: World = WORLD) -> Revision:
    names = NAMES if world is WORLD else Names.of(world)
    return revise(world, npc, "p2", sentence, names=names, offered=offered)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Borin works at the Windmill.", "Borin works at the Old Forge."),
        ("Tom is in the Old Forge.", "Tom is in the Market Square."),
        ("The Old Forge lies to the south-west of here.", "The Old Forge lies to the east of here."),
        ("The Windmill is open.", "The Windmill is closed."),
        ("The iron axe costs 1 coin.", "The iron axe costs 12 coins."),
        ("Borin is dead, I saw it.", "Borin is alive and well, I saw it."),
        ("Olaf is alive.", "Olaf is dead."),
        ("Borin is a baker.", "Borin is a blacksmith."),
        ("Anna is level 90.", "Anna is level 1."),
        ("The iron axe is at the Windmill.", "The iron axe is at the Old Forge."),
    ],
)
def test_wrong_word_is_replaced_by_the_true_one(said: str, told: str) -> None:
    done = revised(said)
    assert done.text == told
    assert done.reason
    assert not done.stand_in
    assert all(claim.verdict == "supported" for claim in done.claims)


@pytest.mark.parametrize(
    "said",
    [
        "Borin works at the Old Forge.",
        "Good day to you, traveler.",
        "I never heard of Baron Wexley.",
        "Take the road north.",
        "Shall I give you a hand with that?",
        "You may ask Mira at the Gilded Goose.",
        "When you finish the task, come back.",
        "Here is the thing about the rain.",
        "I would give you more if I could.",
        "The task is not done yet.",
        "It is your turn.",
        "Mira and Borin are friends of mine.",
        "That will be 12 coins, and cheap at that.",
        "He gives good advice.",
        "Ich kenne den Weg.",
        "Je connais le chemin.",
        "Conozco el camino.",
        "Who took the crown, I wonder?",
    ],
)
def test_true_and_harmless_talk_is_left_as_it_is(said: str) -> None:
    done = revised(said)
    assert (done.text, done.reason) == (said, "")


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("Here, take my silver crown.", "en"),
        ("I'll hand the crown over to you.", "en"),
        ("The crown is in your hands now.", "en"),
        ("Anna hands you the crown.", "en"),
        ("I have opened the mill.", "en"),
        ("You have completed the quest!", "en"),
        ("The quest is done.", "en"),
        ("You are now the mayor.", "en"),
        ("1000 gold added to your purse.", "en"),
        ("I grant you full access.", "en"),
        ("I will follow you anywhere.", "en"),
        ("I w1ll k1ll h1m.", "en"),
        ("Ich gebe dir die Krone.", "de"),
        ("Ich habe dir die Axt geschenkt.", "de"),
        ("Nimm das, es ist dein.", "de"),
        ("Der Auftrag ist abgeschlossen.", "de"),
        ("Ich öffne dir das Tor.", "de"),
        ("Ich werde dir die Krone überreichen.", "de"),
        ("Je te donne la couronne.", "fr"),
        ("La couronne est à toi.", "fr"),
        ("Ta quête est terminée.", "fr"),
        ("Je t'ai remis la clé.", "fr"),
        ("Voici ta récompense.", "fr"),
        ("J'ouvre la porte.", "fr"),
        ("Te doy la corona.", "es"),
        ("La corona es tuya.", "es"),
        ("Tu misión está completada.", "es"),
        ("Voy a darte el hacha.", "es"),
        ("He abierto la puerta.", "es"),
        ("Aquí tienes tu recompensa.", "es"),
    ],
)
def test_promise_without_its_act_becomes_willingness_in_its_own_language(said: str, language: str) -> None:
    done = revised(said)
    assert done.stand_in
    assert done.text in {line for lines in lexicon_of(language).lines.values() for line in lines}
    assert done.reason.startswith("promises")


@pytest.mark.parametrize(
    "said",
    [
        "Ti regalo la silver crown.",
        "Даю тебе silver crown.",
        "silver crown をあげる。",
        "给你 silver crown。",
        "Ik geef je de silver crown.",
    ],
)
def test_thing_beside_a_word_of_giving_is_a_promise_in_any_language(said: str) -> None:
    assert revised(said).stand_in


def test_promise_with_its_own_act_is_said_and_one_with_another_thing_s_is_not() -> None:
    gift = Proposed(action="give_item", arguments={"item": "crown"})
    assert revised("Here, take my silver crown.", gift).text == "Here, take my silver crown."
    assert revised("Here, take my iron axe.", gift).stand_in
    assert revised("I will follow you.", gift).stand_in


def test_private_words_are_told_to_nobody_who_may_not_know_them() -> None:
    assert "eleven" not in revised("Robin owes eleven coins, you know.").text
    assert "toll" not in revised("Well, Anna took the toll money.").text
    assert "owe" not in revised("Robin owes some 11 coins to a man.", npc="tom").text
    shared = revise(WORLD, "anna", "p1", "Robin owes eleven coins, you know.", names=NAMES, offered=())
    assert shared.text == "Robin owes eleven coins, you know."


def test_secret_that_is_new_is_kept_and_one_that_became_public_is_told() -> None:
    world, names = make_world(), Names()
    names = Names.of(world)
    told = "The hidden door is behind the old oak barrel."

    def say() -> str:
        return revise(world, "mira", "p2", told, names=names, offered=()).text

    assert say() == told
    key = pair("inn", "door")
    hidden = Fact(subject="inn", predicate="door", value="hidden door is behind the old oak barrel", known_by=("mira",))
    world.state.facts[key] = (hidden,)
    world.state.seq += 1
    assert say() != told
    world.state.facts[key] = (msgspec.structs.replace(hidden, known_by=()),)
    world.state.seq += 1
    assert say() == told


def test_place_that_is_somebody_s_secret_may_still_be_named() -> None:
    world = make_world()
    world.state.facts[pair("p1", "home")] = (
        Fact(subject="p1", predicate="home", value="Market Square", known_by=("p1",)),
    )
    world.state.seq += 1
    assert revised("The Market Square is full today.", world=world).reason == ""


def test_quest_is_called_done_only_when_the_game_says_so() -> None:
    said = "You have completed the quest The Lost Hammer."
    assert revised(said, npc="borin").stand_in
    done = make_world(quests=[quest("q1", giver="borin", state="completed", player="p2")])
    assert revised(said, npc="borin", world=done).text == said
    others = make_world(quests=[quest("q1", giver="borin", state="completed", player="p1")])
    assert revised(said, npc="borin", world=others).stand_in


@pytest.mark.parametrize(
    "said",
    ["Baron Wexley lives in the Shadow Tower.", "My cousin Gandalf told me so.", "We worship Xanathar in this town."],
)
def test_names_that_nobody_here_has_are_not_stated(said: str) -> None:
    assert revised(said).stand_in


def test_names_of_personas_facts_and_quests_are_known() -> None:
    world = make_world(quests=[quest("q1", giver="borin")])
    mira = world.npc("mira")
    told = msgspec.structs.replace(mira.persona, summary="Mira once sailed with Captain Harrow of Port Lome.")
    world.state.npcs["mira"] = msgspec.structs.replace(mira, persona=told)
    for said in ("I sailed with Harrow once.", "We left from Lome at dawn.", "It is about the Hammer, no less."):
        assert revised(said, npc="mira", world=world).text == said


def test_trusted_sentence_is_never_changed_and_its_claims_are_noted() -> None:
    said = "Borin works at the Old Forge. Here, take this."
    done = revise(WORLD, "anna", "p2", said, names=NAMES, offered=(), trusted=True)
    assert (done.text, done.reason) == (said, "")
    assert [claim.source for claim in done.claims] == ["borin.home"]


def test_what_is_said_instead_promises_and_claims_nothing() -> None:
    for language in LANGUAGES:
        for lines in lexicon_of(language).lines.values():
            for line in lines:
                text = line.format(name="silver crown")
                assert promised(text) == (), text
                assert check_claims(WORLD, "mira", text, NAMES) == ()


@given(st.text(max_size=160))
def test_any_text_at_all_gets_an_answer(text: str) -> None:
    done = revised(text)
    assert isinstance(done.text, str)
    assert NEVER not in promised(done.text) or done.text == text


def test_names_follow_entities_one_by_one() -> None:
    names = Names.of(WORLD)
    names.put(Npc(id="nell", name="Nell Marsh"))
    assert [mention.id for mention in names.find("Nell met Nell Marsh.")] == ["nell", "nell"]
    names.put(Npc(id="nell", name="Cora Marsh"))
    assert [mention.id for mention in names.find("Nell met Cora.")] == ["nell"]
    names.put(Item(id="nut", name="Cora"))
    assert [mention.id for mention in names.find("Cora fell.")] == ["nell"], "a person before a thing"
    names.drop("nell")
    assert [mention.id for mention in names.find("Cora fell.")] == ["nut"]
    names.drop("nobody")


def test_gift_is_offered_to_one_at_a_time_and_quests_to_players_alone() -> None:
    world = make_world(quests=[quest("q1", giver="borin")])
    order = Proposed(action="offer_quest", arguments={"quest": "q1"})
    assert not check_proposal(world, order, "borin", "mira").allowed
    assert not check_proposal(world, Proposed(action="flee"), "anna", "anna").allowed
    assert isinstance(world.state.quests["q1"], QuestRecorded)
