"""Reads conversations with known evidence, in the shape of the LoCoMo set (Maharana et al. 2024, arXiv 2402.17753).

It knows the format and how such files are untidy; what it cannot use it counts by reason. It ranks nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import Invalid

CATEGORIES: Mapping[int, str] = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
ADVERSARIAL = 5
DAY_S = 86_400.0

_SESSION = re.compile(r"session_(\d+)")
_TURN = re.compile(r"D?:?\s*(\d+)\s*:\s*(\d+)", re.IGNORECASE)
_CLOCKS = ("%I:%M %p on %d %B, %Y", "%I:%M %p on %d %b, %Y", "%d %B, %Y", "%d %B %Y", "%Y-%m-%d", "%B %d, %Y")


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `id` such as `D1:3`, what a shared picture shows, and when in Unix seconds its session took place."""

    id: str
    session: str
    speaker: str
    text: str
    caption: str
    at_s: float

    @property
    def words(self) -> str:
        """What was said and shown."""
        return f"{self.text} (shares {self.caption})" if self.caption else self.text


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question, its category, and the ids of the turns that answer it."""

    text: str
    category: int
    evidence: tuple[str, ...]


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """Turns in order and the questions about them."""

    id: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


def read(path: Path) -> tuple[tuple[Conversation, ...], Counter[str]]:
    """The conversations of a file, and how much of it was passed over, by reason.

    Raises Invalid when the file is no JSON list of conversations.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Invalid(f"{path} cannot be read as JSON: {error}", hint="give a file in the LoCoMo format") from error
    return parse(found)


def parse(found: object) -> tuple[tuple[Conversation, ...], Counter[str]]:
    """As `read`, from what the JSON holds: a list of samples, or one sample."""
    samples = found if isinstance(found, list) else [found]
    skipped: Counter[str] = Counter()
    conversations = []
    for number, sample in enumerate(samples):
        if not isinstance(sample, dict) or not isinstance(sample.get("conversation"), dict):
            raise Invalid(f"sample {number} has no conversation", hint="give a file in the LoCoMo format")
        turns = tuple(_turns(sample["conversation"], skipped))
        known = {turn.id for turn in turns}
        questions = tuple(_questions(sample.get("qa") or [], known, skipped))
        id = str(sample.get("sample_id", number))
        conversations.append(Conversation(id=id, turns=turns, questions=questions))
    return tuple(conversations), skipped


def _turns(conversation: dict[str, Any], skipped: Counter[str]) -> Iterator[Turn]:
    numbers = sorted(int(match[1]) for key in conversation if (match := _SESSION.fullmatch(key)))
    at_s = 0.0
    for number in numbers:
        at_s = _seconds(str(conversation.get(f"session_{number}_date_time", "")), at_s, skipped)
        for place, line in enumerate(conversation[f"session_{number}"] or [], 1):
            if not isinstance(line, dict) or not (line.get("text") or line.get("blip_caption")):
                skipped["turns without words"] += 1
                continue
            ids = _ids(str(line.get("dia_id", "")))
            yield Turn(
                id=ids[0] if ids else f"D{number}:{place}",
                session=str(number),
                speaker=str(line.get("speaker", "")),
                text=str(line.get("text") or ""),
                caption=str(line.get("blip_caption") or ""),
                at_s=at_s,
            )


def _seconds(date: str, before_s: float, skipped: Counter[str]) -> float:
    """When a session took place; a day after the one before where its date cannot be read."""
    for clock in _CLOCKS:
        try:
            return datetime.strptime(date.strip(), clock).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    skipped["session dates that cannot be read"] += 1
    return before_s + DAY_S


def _questions(found: list[Any], known: set[str], skipped: Counter[str]) -> Iterator[Question]:
    for entry in found:
        entry = entry if isinstance(entry, dict) else {}
        text = str(entry.get("question") or "")
        category = int(entry["category"]) if str(entry.get("category")).isdigit() else 0
        evidence = entry.get("evidence") or []
        parts = evidence if isinstance(evidence, list) else [evidence]
        ids = tuple(dict.fromkeys(id for part in parts for id in _ids(str(part))))
        there = tuple(id for id in ids if id in known)
        skipped["evidence turns that are not in the conversation"] += len(ids) - len(there)
        if not text or category not in CATEGORIES:
            skipped["questions without text or category"] += 1
        elif not there:
            skipped["questions without evidence"] += 1
        else:
            yield Question(text=text, category=category, evidence=there)
    skipped += Counter()


def _ids(text: str) -> list[str]:
    """The turn ids in a string as people write them: `D8:6; D9:17`, `D:11:26`, `D30:05`."""
    return [f"D{int(session)}:{int(turn)}" for session, turn in _TURN.findall(text)]
