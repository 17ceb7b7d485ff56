"""What authored lines do with what was said and remembered: reported, attributed, followed up, never invented."""

from __future__ import annotations

import msgspec
import pytest

from app.engines.authored import grammar, open_authored
from app.engines.authored.hearing import listen
from app.engines.authored.remembering import said_back
from app.engines.authored.retrieval import filled
from app.world.entities import Persona
from app.world.scene import Known, Line, News, QuestNote, Recalled, Scene, Someone, Spot, Ware

ENGINE = open_authored()
ENGLISH = grammar.load("en")
SCENE = Scene(
    npc=Someone(id="borin", name="Borin", role="blacksmith", place="Old Forge"),
    persona=Persona(),
    listener=Someone(id="p1", name="Robin"),
    heard="Do you remember me?",
    intent="ask_memory",
    met_before=True,
    people=(Someone(id="mira", name="Mira", role="innkeeper", place="Gilded Goose"),),
    places=(Spot(id="mill", name="Windmill", direction="south", reach="far"),),
)


def lines(seeds: int = 40, **fields: object) -> set[str]:
    scene = msgspec.structs.replace(SCENE, **fields)
    return {ENGINE.line(scene, seed) for seed in range(seeds)}


@pytest.mark.parametrize(
    ("said", "back"),
    [
        ("I'm looking for my sister", "you were looking for your sister"),
        ("I’ve lost my way", "you had lost your way"),
        ("My name is Robin", "your name is Robin"),
        ("I will bring you the hammer", "you would bring me the hammer"),
        ("I need your help", "you needed my help"),
    ],
)
def test_the_players_words_are_said_back_to_them(said: str, back: str) -> None:
    assert said_back(said, ENGLISH, past=True) == back


def test_what_the_player_told_is_remembered_as_theirs() -> None:
    told = Recalled(id="m", text="I'm looking for my sister.", kind="line", by_listener=True, to_me=True, days_ago=1.0)
    found = lines(recalled=(told,))
    assert all("you were looking for your sister" in line for line in found), found
    assert any("yesterday" in line for line in found)


def test_hearsay_says_who_told_it_and_deeds_say_you() -> None:
    hearsay = Recalled(id="m", text="Robin gave the bread to Mira at the inn.", kind="event", told_by="Tom")
    assert all("Tom" in line and "you gave the bread to Mira" in line for line in lines(recalled=(hearsay,)))
    seen = Recalled(id="m", text="Robin gave the bread to Borin.", kind="event", by_listener=True)
    assert all("you gave the bread to me" in line for line in lines(recalled=(seen,)))


def test_what_was_told_of_late_is_not_told_again() -> None:
    told = Recalled(id="m", text="I'm looking for my sister.", kind="line", by_listener=True, to_me=True)
    stale = ("You told me you were looking for your sister.",)
    assert not any("sister" in line for line in lines(recalled=(told,), stale=stale))


def test_within_a_dialogue_nothing_needs_a_memory() -> None:
    said = Line(speaker="p1", name="Robin", text="I'm looking for my sister. She came in spring.", npc=False)
    assert all("sister" in line for line in lines(lines=(said,)))


def test_a_pronoun_means_who_was_spoken_of() -> None:
    before = Line(speaker="p1", name="Robin", text="Tell me about Mira", npc=False)
    scene = msgspec.structs.replace(SCENE, intent="ask_place", heard="Where is she?", lines=(before,))
    found, _ = listen(scene, ENGLISH)
    assert found.person is not None
    assert found.person.id == "mira"
    assert all("Gilded Goose" in ENGINE.line(scene, seed) for seed in range(20))


def test_a_person_named_in_passing_is_talked_about() -> None:
    assert all("Mira" in line for line in lines(intent="unknown", heard="Mira is behind all this, I tell you"))


def test_a_fact_answers_the_words_that_it_is_about() -> None:
    facts = (
        Known(
            subject_id="inn", subject="Gilded Goose", predicate="rumor", value="the cellar is older than the village"
        ),
        Known(subject_id="inn", subject="Gilded Goose", predicate="saying", value="a goose never forgets"),
    )
    found = lines(intent="unknown", heard="I was thinking of the cellar", known=facts)
    assert all("he cellar is older than the village." in line for line in found), found


def test_news_about_the_two_who_talk_says_my_and_your() -> None:
    news = (News(verb="stole", actor="Robin", item="Borin's purse"),)
    found = lines(intent="ask_rumor", heard="any news?", news=news)
    assert all("ou stole my purse" in line for line in found), found


def test_a_price_is_answered_with_the_price() -> None:
    wares = (Ware(name="iron axe", price=12.0), Ware(name="nail", price=1.0))
    found = lines(intent="trade", heard="How much is the axe?", wares=wares)
    assert all("12 coins" in line and "nail" not in line for line in found), found


def test_yes_after_the_quest_was_told_takes_it() -> None:
    quest = QuestNote(id="q", title="The Lost Hammer", description="My hammer is gone. Find it.", state="offered")
    told = "My hammer is gone. Find it. Will you?"
    mine = Line(speaker="borin", name="Borin", text=told, npc=True)
    found = lines(intent="yes", heard="Yes, I'll do it.", quests=(quest,), lines=(mine,), stale=(told,))
    assert not any("Yes to what" in line or "didn't ask" in line for line in found)


def test_an_authored_line_is_found_by_its_topic_and_in_spite_of_typing_errors() -> None:
    persona = Persona(lines={"war": ("Eleven of us went up to the ford.",), "greet": ("Hammer's up!",)})
    for heard in ("were you in the war?", "Tell me of the war", "what happened in the warr"):
        assert "Eleven of us went up to the ford." in lines(5, persona=persona, intent="unknown", heard=heard), heard
    assert "Eleven of us went up to the ford." not in lines(
        persona=persona, intent="unknown", heard="Nice hat you have"
    )
    assert "Hammer's up!" not in lines(persona=persona, intent="unknown", heard="my hammer is up there")


def test_a_line_with_an_open_slot_is_not_said_and_facts_fill_it() -> None:
    persona = Persona(lines={"toll": ("The toll is {toll} coins, {you}.",)})
    unfilled = lines(persona=persona, intent="unknown", heard="how high is the toll")
    assert not any("{" in line or "The toll is" in line for line in unfilled)
    known = (Known(subject_id="borin", subject="Borin", predicate="toll", value="3"),)
    assert "The toll is 3 coins, Robin." in lines(
        persona=persona, intent="unknown", heard="how high is the toll", known=known
    )


def test_a_slot_may_name_its_subject() -> None:
    known = (Known(subject_id="mill", subject="Windmill", predicate="owner", value="Tom"),)
    scene = msgspec.structs.replace(SCENE, known=known)
    assert filled("Ask {mill.owner}.", scene, {}) == "Ask Tom."
    assert filled("Ask {mill.miller}.", scene, {}) == ""
