"""What players really type, and what they want by it."""

from __future__ import annotations

import pytest

from app.modules.dialogue import intents

LEXICON = intents.load("en")


@pytest.mark.parametrize(
    ("intent", "lines"),
    [
        ("greet", ("hellooooo", "helo there", "Good evening, everyone", "hey")),
        ("ask_place", ("wheres the smith", "is there an inn nearby", "Where is my sister?")),
        ("ask_person", ("Who's the old man by the fire?", "Tell me about Mira", "what do you think of the king")),
        ("ask_quest", ("Do you have any work for me?", "Is something wrong?", "can I help you?")),
        ("ask_self", ("who r u", "what's ur name", "what do you do here", "where are you from")),
        ("ask_memory", ("do u remember me?", "What did I tell you about my sister?", "have we met")),
        ("ask_rumor", ("any rumours?", "what happened here?", "Did you see who took it?", "Who stole the purse?")),
        ("ask_time", ("What time is it", "is it late")),
        ("ask_weather", ("is it still raining?", "how's the weather")),
        ("ask_why", ("why?", "but why")),
        ("trade", ("A pint of ale, please", "how much is the ale", "I need a room for the night")),
        ("trade", ("Do you have any rooms?",)),
        ("bargain", ("that's too much!", "i'll give you 5 coins", "whoa too expensive")),
        ("request", ("give me a beer", "gimme that", "can you help me?")),
        ("apologize", ("sorry about that", "I'm sorry for what I said", "im so sorry")),
        ("insult", ("you fool", "out of my way", "thieving brat")),
        ("threaten", ("Give me your gold or die", "I'll burn this place down")),
        ("compliment", ("great song!", "You're very kind. I like this place.")),
        ("flirt", ("You're beautiful", "marry me")),
        ("thank", ("thx", "Thank you, goodbye", "thx for the stories, bye!")),
        ("goodbye", ("bye!", "good night", "cya")),
        ("small_talk", ("hows it going", "Hello, how are you?", "Do you like working here?")),
        ("joke", ("tell me a joke",)),
        ("story", ("sing us a song", "know any good stories?")),
        ("tell", ("I'm looking for my sister", "My name is Robin", "I am a soldier", "I lost my sister")),
        ("yes", ("yes", "Yes, I'll do it", "ok", "sure")),
        ("no", ("no thanks", "nope")),
        ("unknown", ("dragons are real right?", "Colorless green ideas", "Is it dangerous there?")),
    ],
)  # fmt: skip
def test_players_lines_are_understood(intent: str, lines: tuple[str, ...]) -> None:
    assert {line: LEXICON.read(line).intent for line in lines} == dict.fromkeys(lines, intent)


def test_pronouns_are_not_what_is_asked_about() -> None:
    assert LEXICON.read("Where is she?").about == ()
    assert LEXICON.read("where's teh market").about == ("market",)
