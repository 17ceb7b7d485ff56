"""Random worlds of whispers, rounds, rumors, factions and conclusions, and whom each word may reach.

The oracle knows nothing of the code under test: it writes down who heard each word when it was said, and who might
have been told since. Every text that is recalled is held against that.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from app.core.errors import Error
from app.core.memory import Cue
from app.modules.memory.messages import Forget, Note, Tell
from app.world.entities import Item
from app.world.events import EntityUpserted, Happened, MemoryNoted
from app.world.memories import line_noted
from tests.modules.memory.hall import Hall

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
    leaks: list[str] = field(default_factory=list)
    """What reached somebody whom it must not, in words."""

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
        except Error:  # whatever is refused changes nothing
            return
        ears, knows = self.oracle.ears[word], self.oracle.knows[word]
        if teller not in knows or (ears is not None and to not in ears | knows):
            self.leaks.append(f"{teller} told {to} {word}")
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
        """(texts that were recalled, rumors among them); leaks are noted."""
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
                        knowing = self.oracle.knows[word] | (ears or {listener})
                        if npc not in self.oracle.knows[word]:
                            self.leaks.append(f"{npc} knows {memory.text!r} from nowhere")
                        elif listener and listener not in knowing:
                            self.leaks.append(f"{npc} tells {listener} {memory.text!r}")
                    if memory.source == "told_by" and memory.tellers:
                        rumors += 1
                        knew = all(teller in self.oracle.knows[word] for teller in memory.tellers for word in words)
                        if memory.told_by != memory.tellers[-1] or not knew:
                            self.leaks.append(f"{npc} has {memory.text!r} through {memory.tellers}, who never knew")
        return texts, rumors


async def lived(seed: int) -> tuple[int, int, list[str]]:
    """(texts that were recalled, rumors among them, leaks) of one world after its steps."""
    hall = Hall()
    await hall.fill()
    evening = Evening(random.Random(seed), hall, Oracle())
    for _ in range(STEPS):
        await evening.step()
    texts, rumors = await evening.judge()
    await hall.close()
    return texts, rumors, evening.leaks
