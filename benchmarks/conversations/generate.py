"""Makes long conversations in which it is known which turns answer which question.

A domain (domains/*.toml) has people, small talk and facts: how one is told, what the other says to it, and how it is
asked after in other words. Weeks of sessions are woven from them. It knows no index and does not measure.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

DOMAINS = Path(__file__).resolve().parent / "domains"
MULTI_HOP, TEMPORAL, OPEN, SINGLE_HOP, ADVERSARIAL = 1, 2, 3, 4, 5
_GROUPS = {
    "hobbies": "What hobbies does {me} have?", "outings": "What activities has {me} done lately?",
    "books": "What books has {me} read?", "travels": "What places does {me} want to travel to?",
    "troubles": "What troubles has {me} had?", "deeds": "What deeds is {me} known for?",
    "pastimes": "How does {me} spend free time?", "incidents": "What incidents was {me} involved in?",
}  # fmt: skip
_ASIDES = (
    "I keep thinking about {thing}, to be honest.", "Somebody else told me about {thing} only recently, {me}.",
    "What is it with {thing} that everybody talks about?", "My cousin knows a lot about {thing}.",
    "Remind me of {thing} when we meet, {you}.", "I used to laugh about {thing}, years ago.",
)  # fmt: skip
_ASIDE_SHARE = 0.7
"""How many facts are followed by a line with the same word that answers nothing."""
_WRONG_SHARE = 0.4
"""How many facts are also asked of somebody who never told them."""
_NEAR_SHARE = 0.9
"""How many questions share a word or two with what answers them, as most of people's do; the others share none."""


@dataclass(slots=True)
class _Told:
    """One fact as it was told: who, which of the domain's facts, in which of its wordings, with what, and where."""

    who: str
    fact: dict[str, Any]
    wording: int
    slots: dict[str, str]
    turn: str
    day: str


@dataclass(slots=True)
class _Conversation:
    people: tuple[str, ...]
    sessions: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    told: list[_Told] = field(default_factory=list)


def sets(domains: tuple[str, ...], *, seed: int, conversations: int, sessions: int) -> list[dict[str, Any]]:
    """Conversations of these domains, as the JSON list that a LoCoMo file holds."""
    made = []
    for domain in domains:
        content = tomllib.loads((DOMAINS / f"{domain}.toml").read_text())
        for number in range(conversations):
            rng = random.Random(f"{seed} {domain} {number}")
            people = tuple(rng.sample(content["speakers"], 3 if number % 3 == 2 else 2))
            talk = _talk(rng, content, people, sessions)
            made.append(_sample(f"{domain}-{number}", talk, _questions(rng, talk)))
    return made


def _talk(rng: random.Random, content: dict[str, Any], people: tuple[str, ...], sessions: int) -> _Conversation:
    talk = _Conversation(people)
    moment = datetime(2023, rng.randint(1, 6), rng.randint(1, 28), rng.randint(8, 21), rng.randint(0, 59))
    facts = _facts(rng, content["facts"], people)
    share = max(1, len(facts) // sessions)
    for number in range(1, sessions + 1):
        due = facts[(number - 1) * share : number * share if number < sessions else None]
        date = moment.strftime("%I:%M %p on %d %B, %Y").lstrip("0").lower()
        turns = list(_session(rng, content, talk, number, due, date))
        talk.sessions.append((date, turns))
        moment += timedelta(days=rng.randint(2, 12), minutes=rng.randint(-200, 200))
    return talk


def _facts(rng: random.Random, facts: list[dict[str, Any]], people: tuple[str, ...]) -> list[tuple[str, Any, Any]]:
    """Who tells which fact with what in its slots, in order; one that changes or adds up is told anew."""
    found = []
    for who in people:
        for fact in rng.sample(facts, min(len(facts), 14)):
            slots = {name: rng.choice(values) for name, values in fact.get("slots", {}).items()}
            found.append((rng.random(), who, fact, slots))
            if "changes" in fact or "many" in fact:
                name = next(iter(slots))
                others = [value for value in fact["slots"][name] if value != slots[name]]
                more = 1 if "changes" in fact else rng.randint(1, 2)
                anew = rng.sample(others, min(more, len(others)))
                found += [(rng.random(), who, fact, slots | {name: later}) for later in anew]
    return [(who, fact, slots) for _, who, fact, slots in sorted(found, key=lambda each: each[0])]


def _session(
    rng: random.Random, content: dict[str, Any], talk: _Conversation, number: int, due: list[Any], date: str
) -> Iterator[dict[str, Any]]:
    turn = 0
    speaker = rng.choice(talk.people)
    asides = [None] * rng.randint(10, 18)
    plan: list[Any] = [*due, *asides]
    rng.shuffle(plan)
    for step in [None, *plan, None]:
        wording = rng.randrange(len(step[1]["say"])) if step else 0
        lines = _telling(rng, content, talk, step, wording) if step else _chat(rng, content, talk, speaker)
        for who, text, caption in lines:
            turn += 1
            id = f"D{number}:{turn}"
            if step is not None and caption is not None:
                talk.told.append(_Told(who, step[1], wording, step[2], id, date))
            line = {"speaker": who, "dia_id": id, "text": text}
            yield line | {"img_url": ["seen"], "blip_caption": caption} if caption else line
            speaker = _other(rng, talk, who)


def _chat(
    rng: random.Random, content: dict[str, Any], talk: _Conversation, who: str
) -> list[tuple[str, str, str | None]]:
    return [(who, rng.choice(content["chat"]).format(you=_other(rng, talk, who)), None)]


def _telling(
    rng: random.Random,
    content: dict[str, Any],
    talk: _Conversation,
    step: tuple[str, Any, dict[str, str]],
    wording: int,
) -> list[tuple[str, str, str | None]]:
    """The lines in which a fact is told; the one that tells it has a caption, which may be empty."""
    who, fact, slots = step
    other = _other(rng, talk, who)
    words = slots | {"me": who, "you": other, "when": rng.choice(content["when"])}
    lines: list[tuple[str, str, str | None]] = []
    if "lead" in fact:
        lines.append((other, _filled(rng.choice(fact["lead"]), words), None))
    elif rng.random() < 0.4:
        lines.append((other, rng.choice(content["chat"]).format(you=who), None))
    lines.append((who, _filled(fact["say"][wording], words), _filled(fact.get("caption", ""), words)))
    lines.append((other, _filled(rng.choice(fact["reply"]), words), None))
    if slots and rng.random() < _ASIDE_SHARE:
        said = rng.choice(_ASIDES).format(thing=rng.choice(list(slots.values())), **{"me": who, "you": other})
        lines.append((rng.choice((who, other)), _filled(said, {}), None))
    return lines


def _questions(rng: random.Random, talk: _Conversation) -> list[dict[str, Any]]:
    every: defaultdict[tuple[str, int], list[_Told]] = defaultdict(list)
    groups: defaultdict[tuple[str, str], list[_Told]] = defaultdict(list)
    for told in talk.told:
        every[told.who, id(told.fact)].append(told)
        if "group" in told.fact:
            groups[told.who, told.fact["group"]].append(told)
    found: list[dict[str, Any]] = []
    for (who, _), tellings in every.items():
        told = tellings[-1]
        if "many" in told.fact:
            found.append(_summed(rng.choice(told.fact["many"]), who, tellings))
        else:
            found += _alone(rng, told)
        found += _dated(rng, tellings)
        others = [name for name in talk.people if (name, id(told.fact)) not in every]
        if others and rng.random() < _WRONG_SHARE:
            wrong = told.slots | {"me": rng.choice(others)}
            found.append(_question(rng.choice(told.fact["near"]), wrong, "", [told.turn], ADVERSARIAL))
    wide = [(key, members) for key, members in groups.items() if len({id(told.fact) for told in members}) > 1]
    return found + [_summed(_GROUPS[group], who, members) for (who, group), members in wide]


def _alone(rng: random.Random, told: _Told) -> Iterator[dict[str, Any]]:
    """What one telling answers; of a fact that has changed, the newest."""
    words = told.slots | {"me": told.who}
    answer = ", ".join(told.slots.values()) or "yes"
    for _ in range(2):
        near = told.fact["near"][told.wording % len(told.fact["near"])]
        asked = near if rng.random() < _NEAR_SHARE else rng.choice(told.fact["ask"])
        yield _question(asked, words, answer, [told.turn], SINGLE_HOP)
    if "infer" in told.fact:
        yield _question(rng.choice(told.fact["infer"]), words, "likely", [told.turn], OPEN)


def _dated(rng: random.Random, tellings: list[_Told]) -> Iterator[dict[str, Any]]:
    """When it happened, where the question says which of several tellings it means."""
    for told in tellings if "date" in tellings[0].fact else ():
        dates = told.fact["date"]
        asked = dates[0] if rng.random() < _NEAR_SHARE else dates[-1]
        if len(tellings) == 1 or any(f"{{{name}}}" in asked for name in told.slots):
            yield _question(asked, told.slots | {"me": told.who}, told.day, [told.turn], TEMPORAL)


def _summed(asked: str, who: str, tellings: list[_Told]) -> dict[str, Any]:
    answer = ", ".join(dict.fromkeys(value for told in tellings for value in told.slots.values()))
    return _question(asked, {"me": who}, answer, [told.turn for told in tellings], MULTI_HOP)


def _question(text: str, words: dict[str, str], answer: str, turns: list[str], category: int) -> dict[str, Any]:
    return {"question": _filled(text, words), "answer": answer, "evidence": turns, "category": category}


def _sample(name: str, talk: _Conversation, questions: list[dict[str, Any]]) -> dict[str, Any]:
    conversation: dict[str, Any] = {"speaker_a": talk.people[0], "speaker_b": talk.people[1]}
    for number, (date, turns) in enumerate(talk.sessions, 1):
        conversation[f"session_{number}_date_time"] = date
        conversation[f"session_{number}"] = turns
    return {"sample_id": name, "conversation": conversation, "qa": questions}


def _other(rng: random.Random, talk: _Conversation, who: str) -> str:
    return rng.choice([name for name in talk.people if name != who])


def _filled(text: str, words: dict[str, str]) -> str:
    filled = text.format(**words)
    return re.sub(r"(^|[.!?] )([a-z])", lambda found: found[1] + found[2].upper(), filled)
