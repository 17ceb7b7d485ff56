"""What can be concluded from memories without a model: counts of what two have been through, in a plain sentence.

Pure. It reads what memories are of, by whom and about what; it does not read their words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from app.core.memory import Recollection
from app.modules.memory import logic

KIND: tuple[str, ...] = ("gave", "defended", "escorted")
HOSTILE: tuple[str, ...] = ("attacked", "stole", "killed", "destroyed")
_DONE = {
    "gave": "gave me something", "defended": "stood up for me", "escorted": "brought me to safety",
    "traded": "traded with me", "attacked": "attacked me", "stole": "stole from me",
}  # fmt: skip
_SEEN = {
    "gave": "make a gift", "defended": "defend somebody", "escorted": "bring somebody to safety", "traded": "trade",
    "attacked": "attack somebody", "stole": "steal", "killed": "kill", "destroyed": "destroy things",
}  # fmt: skip
_TIMES = ("", "once", "twice", "three times", "four times", "five times")


def persons_met(memories: Iterable[Recollection], npc: str, most: int) -> list[str]:
    """Those of whom most is remembered, most first."""
    met = Counter(id for memory in memories if memory.source != "derived" for id in logic.persons(memory) if id != npc)
    return [id for id, _ in sorted(met.items(), key=lambda one: (-one[1], one[0]))[:most]]


def sources_about(memories: Iterable[Recollection], person: str, most: int) -> list[Recollection]:
    """What is remembered of a person and may be told to them, what weighs most first."""
    found = [
        memory
        for memory in memories
        if memory.source != "derived" and person in logic.persons(memory) and logic.may_hear(memory, person)
    ]
    return sorted(found, key=lambda memory: (-memory.importance * memory.strength, -memory.seq))[:most]


def plain_sentence(sources: Sequence[Recollection], *, npc: str, person: str, name: str, felt: float) -> str:
    """What the sources come to, in the first person; empty where they come to nothing."""
    did, saw, lines, feelings = Counter[str](), Counter[str](), 0, Counter[str]()
    for memory in sources:
        if memory.speaker == person:
            lines += 1
            feelings[memory.emotion] += 1
        elif memory.participants[:1] == (person,) and memory.topic in _SEEN:
            to_me = npc in memory.participants[1:] and memory.topic in _DONE
            (did if to_me else saw)[memory.topic] += 1
    parts = [f"{_DONE[verb]} {_times(count)}" for verb, count in did.most_common()]
    sightings = [f"I know of {name} to {_SEEN[verb]}" for verb, _ in saw.most_common(2)]
    if lines:
        parts.append(f"spoke with me {_times(lines)}")
    if not parts and not sightings:
        return ""
    first = [f"{name} {_joined(parts)}"] if parts else []
    told = "; ".join([*first, *sightings])
    return f"{told}. {_verdict(did + saw, feelings, felt, name)}".strip()


def _verdict(deeds: Counter[str], feelings: Counter[str], felt: float, name: str) -> str:
    kind = sum(deeds[verb] for verb in KIND) + feelings["happy"]
    hostile = sum(deeds[verb] for verb in HOSTILE) + feelings["angry"]
    if hostile > kind or felt <= -0.3:
        return f"I should be careful with {name}."
    if kind > hostile or felt >= 0.3:
        return f"I think well of {name}."
    return ""


def _times(count: int) -> str:
    return _TIMES[count] if count < len(_TIMES) else f"{count} times"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
