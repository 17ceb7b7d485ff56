"""A thousand random worlds of whispers, rounds, rumors, factions and conclusions: nobody learns what they must not.

The oracle knows nothing of the code under test: it writes down who heard each word when it was said, and who might
have been told since. Every text that is recalled is held against that.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from app.core.memory import Cue
from app.modules.memory.messages import Forget, Note, Tell
from app.world.entities import Item
from app.world.events import EntityUpserted, Happened, MemoryNoted
from app.world.memories import line_noted
from tests.modules.memory.hall import Hall

WORLDS = 1_000
SHARDS = 10
STEPS = 30
NPCS = ("greta", "tom", "bert", "fay")
PLAYERS = ("ash", "bo", "cy")
GUARDS = ("tom", "bert")
PLACES = {"greta": "inn", "tom": "inn", "bert": "mill", "fay": "mill"}


@dataclass
class Oracle:
    """Who may hear of each word, and which NPCs can know it at all."""

    ears: dict[str, frozenset[str] | None] = field(default_factory=dict)
    """None where it is no secret."""
    knows: dict[str, set[str]] = field(default_factory=dict)
    words: int = 0

    def word(self, ears: frozenset[str] | None, knows: set[str]) -> str:
        self.words += 1
        word = f"zq{self.words}zq"
        self.ears[word], self.knows[word] = ears, {id for id in knows if id in NPCS}
        return word

    def talked(self, one: str, other: str) -> None:
        """What is no secret may have gone over, either way."""
        for word, ears in self.ears.items():
            if ears is None and self.knows[word] & {one, other}:
                self.knows[word] |= {one, other}

    def told(self, word: str, to: str) -> None:
        self.knows[word].add(to)
        ears = self.ears[word]
        if ears is not None:
            self.ears[word] = ears | {to}


@dataclass
class Evening:
    """One random world."""

    rng: random.Random
    hall: Hall
    oracle: Oracle
    ids: dict[str, str] = field(default_factory=dict)
    """Memory -> the word in it."""
    lines: int = 0

    async def step(self) -> None:
        steps = (
            self.whisper, self.round, self.deed, self.chat, self.chat, self.note, self.tell, self.reflect, self.forget,
            self.restart,
        )  # fmt: skip
        await self.rng.choice(steps)()

    async def whisper(self) -> None:
        npc, player = self.rng.choice(NPCS), self.rng.choice(PLAYERS)
        await self.say(self.rng.choice(((player, (npc,)), (npc, (player,)))))

    async def round(self) -> None:
        everyone = self.rng.sample([*NPCS, *PLAYERS], k=self.rng.randint(3, 5))
        if set(everyone) & set(NPCS):
            await self.say((everyone[0], tuple(everyone[1:])))

    async def say(self, line: tuple[str, tuple[str, ...]]) -> None:
        speaker, heard_by = line
        heard = {speaker, *heard_by}
        word = self.oracle.word(frozenset(heard), heard)
        self.lines += 1
        text = f"I must tell you a secret of {word}, I swear, and I hate it"
        noted = line_noted(
            self.hall.world, id=f"line{self.lines}", thread=f"d{self.lines % 3}", speaker=speaker, text=text,
            heard_by=heard_by, place="inn", ai_generated=False,
        )  # fmt: skip
        self.ids[noted.id] = word
        await self.hall.post(noted)

    async def deed(self) -> None:
        """A gift or a theft that whoever stood there saw."""
        actor, target = self.rng.choice(PLAYERS), self.rng.choice(NPCS)
        place = PLACES[target]
        word = self.oracle.word(None, {target, *(npc for npc in NPCS if PLACES[npc] == place)})
        await self.hall.post(EntityUpserted(entity=Item(id=word, name=word, holder=actor)))
        verb = self.rng.choice(("gave", "stole"))
        posted = await self.hall.post(Happened(verb=verb, actor=actor, target=target, item=word, location=place))
        self.ids[posted[0].id] = word

    async def chat(self) -> None:
        one, other = self.rng.sample(NPCS, k=2)
        posted = await self.hall.post(Happened(verb="talked", actor=one, target=other))
        self.oracle.talked(one, other)
        for event in posted:
            if isinstance(event.change, MemoryNoted) and event.change.links:
                self.ids[event.change.id] = self.ids[event.change.links[-1]]

    async def note(self) -> None:
        npc = self.rng.choice((*NPCS, "guard"))
        holders = set(GUARDS) if npc == "guard" else {npc}
        pair = tuple(self.rng.sample([*NPCS, *PLAYERS], k=2))
        known_by = self.rng.choice(((), ("guard",), (self.rng.choice(PLAYERS),), pair))
        ears = frozenset(id for one in known_by for id in (GUARDS if one == "guard" else (one,))) if known_by else None
        word = self.oracle.word(ears, holders)
        pinned = npc != "guard" and self.rng.random() < 0.2
        note = Note(
            npc=npc, text=f"a note of {word}", known_by=known_by, pinned=pinned, importance=0.9,
            participants=(self.rng.choice(PLAYERS),),
        )  # fmt: skip
        noted = await self.hall.ask(note)
        self.ids[noted.id] = word

    async def tell(self) -> None:
        teller, to = self.rng.sample(NPCS, k=2)
        if not self.ids:
            return
        id = self.rng.choice(sorted(self.ids))
        word = self.ids[id]
        try:
            told = await self.hall.ask(Tell(npc=teller, to=to, ids=(id,)))
        except Exception:  # whatever is refused changes nothing
            return
        ears = self.oracle.ears[word]
        assert teller in self.oracle.knows[word]
        assert ears is None or to in ears, "what somebody must not hear is not told"
        self.oracle.told(word, to)
        self.ids |= dict.fromkeys(told.ids, word)

    async def reflect(self) -> None:
        await self.hall.reflect(self.rng.choice(NPCS))

    async def forget(self) -> None:
        if self.ids and self.rng.random() < 0.3:
            await self.hall.ask(Forget(npc=self.rng.choice(NPCS), ids=(self.rng.choice(sorted(self.ids)),)))

    async def restart(self) -> None:
        if self.rng.random() < 0.3:
            self.hall.restart()

    async def judge(self) -> tuple[int, int]:
        """(texts that were recalled, rumors among them); every leak is an AssertionError."""
        texts = rumors = 0
        names = "ash bo cy gave stole spoke think careful someone"
        cue = f"{' '.join(self.oracle.ears)} {names}"
        for npc in NPCS:
            for listener in ("", *NPCS, *PLAYERS):
                found = await self.hall.minds.recall("t", "w", npc, Cue(text=cue, listener=listener, most=100))
                found += await self.hall.minds.pinned("t", "w", npc, listener)
                for memory in found:
                    texts += 1
                    words = [word for word in self.oracle.ears if word in memory.text]
                    words += [self.ids[link] for link in memory.links if link in self.ids]
                    for word in words:
                        ears = self.oracle.ears[word]
                        assert npc in self.oracle.knows[word], f"{npc} knows {memory.text!r} from nowhere"
                        knowing = self.oracle.knows[word] | (ears or {listener})
                        assert not listener or listener in knowing, f"{npc} tells {listener} {memory.text!r}"
                    if memory.source == "told_by" and memory.tellers:
                        rumors += 1
                        assert memory.told_by == memory.tellers[-1]
                        assert all(teller in self.oracle.knows[word] for teller in memory.tellers for word in words)
        return texts, rumors


@pytest.mark.parametrize("shard", range(SHARDS))
async def test_nobody_is_told_what_they_must_not_hear(shard: int) -> None:
    texts = rumors = 0
    for number in range(WORLDS // SHARDS):
        rng = random.Random(shard * WORLDS + number)
        hall = Hall()
        await hall.fill()
        evening = Evening(rng, hall, Oracle())
        for _ in range(STEPS):
            await evening.step()
        more, told = await evening.judge()
        texts += more
        rumors += told
        await hall.close()
    assert texts > 1_000, "much was recalled"
    assert rumors > 100, "rumors arrived"


async def test_the_oracle_sees_a_leak() -> None:
    """A memory that is written down as gossip although it was whispered must be found."""
    hall = Hall()
    await hall.fill()
    evening = Evening(random.Random(1), hall, Oracle())
    word = evening.oracle.word(frozenset(("ash", "greta")), {"greta"})
    await hall.ask(Note(npc="greta", text=f"a note of {word}"))
    with pytest.raises(AssertionError):
        await evening.judge()
