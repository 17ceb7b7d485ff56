"""What a character may not contradict: a closed set of constraints; each finding has the value, the place and the mend.

Pure. It judges people against a canon, all of them together; it draws nothing. Ages and genders that the world does not
tell are never held against anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from app.modules.characters.canon import BEASTS, CHILDREN, MUTUAL, PARENTS, TIES, Canon, Member
from app.modules.characters.library import CHILD, MOTIVES, TRAITS, Trade
from app.modules.characters.messages import Finding, Rule
from app.modules.characters.naming import alike, first_name
from app.modules.characters.nature import number
from app.world.entities import Fact, Npc

AGE_MAX = 120.0
ADULT = 16.0
"""Years from which one works, and 18 from which one marries."""
WEDDED = 18.0
PARENT_GAPS: Mapping[str, tuple[float, float]] = MappingProxyType({"mother": (16.0, 50.0), "father": (16.0, 70.0)})
"""By how many years a parent is older than a child, least and most."""


def judge(before: Canon, members: Sequence[Member], trades: Mapping[str, Trade]) -> list[Finding]:
    """Every contradiction of these people with the canon and among themselves, in order of the members."""
    after = before.joined(members)
    found: list[Finding] = []
    told: dict[tuple[str, str], Fact] = {}
    for member in members:
        found += _about_self(before, after, member, members)
        found += _about_places(after, member.npc)
        found += _about_ties(after, member.npc)
        found += _about_post(after, member.npc, trades)
        found += _about_facts(before, after, member, told)
    return found


def _finding(rule: Rule, npc: str, field: str, value: object, text: str, *, mend: str, against: str = "") -> Finding:
    return Finding(rule=rule, subject=npc, field=field, value=str(value), against=against, text=text, mend=mend)


def _about_self(before: Canon, after: Canon, member: Member, members: Sequence[Member]) -> Iterator[Finding]:
    npc, limits = member.npc, before.settings
    if before.entity(npc.id) is not None or sum(one.npc.id == npc.id for one in members) > 1:
        text = f"id {npc.id!r} is taken"
        yield _finding("id_taken", npc.id, "id", npc.id, text, mend="choose another id", against=npc.id)
    yield from _about_name(before, npc, [one.npc for one in members if one.npc is not npc])
    if not 1 <= npc.level <= limits.level_max:
        text = f"level {npc.level} is outside 1 to {limits.level_max}"
        yield _finding("level_range", npc.id, "level", npc.level, text, mend="choose a level inside")
    age = number(npc.attributes, "age")
    if age is not None and not 0.0 <= age <= AGE_MAX:
        text = f"nobody is {age:g} years old"
        yield _finding("age_range", npc.id, "attributes.age", f"{age:g}", text, mend=f"say 0 to {AGE_MAX:g}")
    for name in (*(f"need_{motive}" for motive in MOTIVES), *TRAITS):
        share = number(npc.attributes, name)
        if share is not None and not 0.0 <= share <= 1.0:
            text = f"{name} is {share:g}, outside 0 to 1"
            yield _finding("share_range", npc.id, f"attributes.{name}", f"{share:g}", text, mend="scale it to 0 to 1")
    if npc.faction and npc.faction not in before.factions:
        text = f"faction {npc.faction!r} is not in the world"
        yield _finding("faction_missing", npc.id, "faction", npc.faction, text, mend="upsert it, or leave it empty")
    for item in member.items:
        if before.entity(item.id) is not None:
            text = f"item id {item.id!r} is taken"
            yield _finding("item_taken", npc.id, "items", item.id, text, mend="choose another id", against=item.id)


def _about_name(before: Canon, npc: Npc, others: Sequence[Npc]) -> Iterator[Finding]:
    first = first_name(npc.name)
    if not first:
        yield _finding("name_missing", npc.id, "name", npc.name, "a person has a name", mend="give one")
        return
    known = {**before.first_names, **{first_name(other.name): other.id for other in others if other.alive}}
    holder = known.get(first) or before.things_named.get(first, "")
    mend = "choose another first name"
    if holder:
        text = f"the name {npc.name!r} is that of {before.name(holder)!r} too"
        yield _finding("name_taken", npc.id, "name", npc.name, text, mend=mend, against=holder)
        return
    near = alike(npc.name, known, before.settings.name_edits_min)
    if near:
        text = f"{npc.name!r} is easily taken for {before.name(known[near])!r}"
        yield _finding("name_alike", npc.id, "name", npc.name, text, mend=mend, against=known[near])


def _about_places(after: Canon, npc: Npc) -> Iterator[Finding]:
    for field in ("home", "work", "location"):
        place = getattr(npc, field)
        if not place:
            continue
        if place not in after.locations:
            text = f"{field} {place!r} is no place of the world"
            yield _finding("place_missing", npc.id, field, place, text, mend="upsert the place, or name one that is")
        elif not after.locations[place].open:
            text = f"{field} {after.name(place)!r} is closed"
            yield _finding("place_closed", npc.id, field, place, text, mend="open it, or choose another", against=place)
        elif after.hostile(npc.faction, after.owner(place)):
            owner = after.owner(place)
            text = f"{field} {after.name(place)!r} belongs to {after.name(owner)!r}, an enemy of {npc.faction!r}"
            yield _finding("place_hostile", npc.id, field, place, text, mend="choose another place", against=owner)
    home = npc.home
    if home not in after.locations or not after.locations[home].open:
        return
    if npc.alive and after.room(home) < 0:
        text = (
            f"{after.name(home)!r} has room for {after.beds(home)}, and {len(after.residents[home])} would live there"
        )
        yield _finding(
            "home_full", npc.id, "home", home, text, mend="give it more `beds`, or choose another", against=home
        )
    for field in ("work", "location"):
        place = getattr(npc, field)
        if place in after.locations and after.locations[place].open and place not in after.reach(home):
            text = f"no open way leads from {after.name(home)!r} to {after.name(place)!r}"
            yield _finding("place_unreachable", npc.id, field, place, text, mend="connect them", against=home)


def _about_ties(after: Canon, npc: Npc) -> Iterator[Finding]:
    for tie in after.ties(npc.id):
        field, other = f"fact {tie.kind}", after.npcs.get(tie.other)
        if tie.other == npc.id:
            text = f"{npc.id!r} is its own {tie.kind}"
            yield _finding("tie_self", npc.id, field, tie.other, text, mend="name somebody else")
        elif other is None:
            text = f"{tie.kind} {tie.other!r} is no NPC of the world"
            yield _finding("tie_missing", npc.id, field, tie.other, text, mend="put the person in first")
        else:
            yield from _about_tie(after, npc, tie.kind, other)
    mother, father = (after.tie(npc.id, kind) for kind in PARENTS)
    if mother and mother == father:
        text = f"{after.name(mother)!r} is both mother and father"
        yield _finding("parent_same", npc.id, "fact father", father, text, mend="name two people", against=mother)


def _about_tie(after: Canon, npc: Npc, kind: str, other: Npc) -> Iterator[Finding]:
    field = f"fact {kind}"

    def contradicts(rule: Rule, text: str, mend: str) -> Finding:
        return _finding(rule, npc.id, field, other.id, text, mend=mend, against=other.id)

    if kind not in PARENTS and kind not in CHILDREN and npc.alive and not other.alive:
        yield contradicts("tie_dead", f"{kind} {after.name(other.id)!r} is dead", "end the fact with until_s")
    if kind not in ("rival", *PARENTS, *CHILDREN) and after.hostile(npc.faction, other.faction):
        text = f"{kind} {after.name(other.id)!r} is of {other.faction!r}, an enemy of {npc.faction!r}"
        yield contradicts("tie_hostile", text, "mend the factions' relations, or choose somebody else")
    if not _answered(after, npc.id, kind, other.id):
        text = f"{after.name(other.id)!r} does not know {npc.id!r} as {' or '.join(inverses(kind))}"
        yield contradicts("tie_one_sided", text, "assert the fact of the other too")
    if kind == "captain" and npc.faction != other.faction:
        text = f"captain {after.name(other.id)!r} is of {other.faction!r}, not of {npc.faction!r}"
        yield contradicts("captain_other", text, "put both into one faction")
    if kind == "spouse":
        yield from _about_marriage(after, npc, other)
    for child, parent, word in _generations(npc, kind, other):
        yield from _about_parent(after, npc, field, child, parent, word)


def _about_marriage(after: Canon, npc: Npc, other: Npc) -> Iterator[Finding]:
    rivals = [id for (id, kind), fact in after.facts.items() if kind == "spouse" and fact.value == other.id]
    third = next((id for id in rivals if id != npc.id), "") or after.tie(other.id, "spouse")
    if third and third != npc.id:
        text = f"{after.name(other.id)!r} is married to {after.name(third)!r}"
        yield _finding(
            "spouse_taken", npc.id, "fact spouse", other.id, text, mend="end that marriage first", against=third
        )
    if other.id in after.kin(npc.id):
        text = f"{after.name(other.id)!r} is close kin"
        yield _finding("kin_marriage", npc.id, "fact spouse", other.id, text, mend="choose another", against=other.id)
    age = after.age(npc.id)
    if age is not None and age < WEDDED:
        text = f"{npc.id!r} is {age:g} and married"
        yield _finding("spouse_age", npc.id, "attributes.age", f"{age:g}", text, mend=f"marry from {WEDDED:g}")


def _generations(npc: Npc, kind: str, other: Npc) -> Iterator[tuple[str, str, str]]:
    """(child, parent, what the parent is) that a tie means."""
    if kind in PARENTS:
        yield npc.id, other.id, kind
    elif kind in CHILDREN:
        yield other.id, npc.id, "father" if npc.attributes.get("gender") == "male" else "mother"


def _about_parent(after: Canon, npc: Npc, field: str, child: str, parent: str, word: str) -> Iterator[Finding]:
    young, old = after.age(child), after.age(parent)
    if young is None or old is None:
        return
    least, most = PARENT_GAPS[word]
    if not least <= old - young <= most:
        text = f"{word} {after.name(parent)!r} is {old:g} and the child {after.name(child)!r} is {young:g}"
        mend = f"a {word} is {least:g} to {most:g} years older"
        other = parent if npc.id == child else child
        yield _finding("parent_age", npc.id, field, other, text, mend=mend, against=other)


def inverses(kind: str) -> tuple[str, ...]:
    """By which predicates the other side of a tie may say it; none where one side says enough."""
    if kind in PARENTS:
        return CHILDREN
    if kind in CHILDREN:
        return PARENTS
    return (kind,) if kind in MUTUAL else ()


def _answered(after: Canon, npc: str, kind: str, other: str) -> bool:
    back = inverses(kind)
    return not back or any(after.tie(other, each) == npc for each in back)


def _about_post(after: Canon, npc: Npc, trades: Mapping[str, Trade]) -> Iterator[Finding]:
    age = number(npc.attributes, "age")
    if (
        npc.archetype != CHILD
        and npc.archetype in trades
        and npc.work
        and age is not None
        and age < trade_age(npc, trades)
    ):
        text = f"{npc.id!r} is {age:g} and works as {npc.archetype!r}"
        yield _finding("child_works", npc.id, "archetype", npc.archetype, text, mend=f"use the archetype {CHILD!r}")
    if not npc.alive:
        return
    single = npc.archetype in trades and trades[npc.archetype].unique
    for other in after.npcs.values():
        if other.id == npc.id or not other.alive or other.archetype != npc.archetype or post(other) != post(npc):
            continue
        if single or "unique" in npc.tags or "unique" in other.tags:
            where = npc.faction or npc.work or "the world"
            text = f"{after.name(other.id)!r} is the one {npc.archetype} of {where!r}"
            yield _finding(
                "post_taken", npc.id, "archetype", npc.archetype, text, mend="choose another", against=other.id
            )
            return


def trade_age(npc: Npc, trades: Mapping[str, Trade]) -> float:
    """From which age one works in that trade."""
    return min(ADULT, float(trades[npc.archetype].age[0]))


def post(npc: Npc) -> str:
    """Of what somebody is the one and only: the faction, else the place of work."""
    return npc.faction or npc.work


def _about_facts(before: Canon, after: Canon, member: Member, told: dict[tuple[str, str], Fact]) -> Iterator[Finding]:
    npc = member.npc
    for fact in member.facts:
        key, field = (fact.subject, fact.predicate), f"fact {fact.predicate}"
        rival = told.get(key) or before.facts.get(key)
        told.setdefault(key, fact)
        if rival is not None and rival.value != fact.value:
            own = fact.subject == npc.id or fact.predicate in TIES
            text = f"{fact.subject!r} {fact.predicate!r} is {rival.value!r} in the world, not {fact.value!r}"
            rule: Rule = "fact_conflict" if own else "fact_untrue"
            mend = "take over the world's value, or end that fact with until_s"
            yield _finding(rule, npc.id, field, fact.value, text, mend=mend, against=str(rival.value))
        elif fact.subject != npc.id and fact.predicate not in TIES:
            yield from _about_knowledge(before, after, npc, fact)


def _about_knowledge(before: Canon, after: Canon, npc: Npc, fact: Fact) -> Iterator[Finding]:
    """What somebody is said to know of others has to be so, and to have been within reach of eyes or ears."""
    field, held = f"fact {fact.predicate}", before.facts.get((fact.subject, fact.predicate))
    if held is None:
        text = f"the world knows no {fact.predicate!r} of {fact.subject!r}"
        yield _finding("fact_untrue", npc.id, field, fact.value, text, mend="assert it first with world.assert")
    elif npc.id in fact.known_by and not knowable(after, npc, held):
        text = f"{npc.id!r} cannot know {fact.predicate!r} of {fact.subject!r}"
        mend = "let somebody of its home, work or faction know it first"
        yield _finding("fact_unknowable", npc.id, field, fact.value, text, mend=mend, against=fact.subject)


def knowable(canon: Canon, npc: Npc, fact: Fact) -> bool:
    """Whether an NPC could know a fact: public, told in its faction, or witnessed at its own home or work.

    Witnessed is what concerns the place itself or those who live and work there, once somebody else there knows it;
    what some know of players is theirs.
    """
    if not fact.known_by or npc.id in fact.known_by or (npc.faction and npc.faction in fact.known_by):
        return True
    if fact.subject in canon.players:
        return False
    for place in dict.fromkeys((npc.home, npc.work)):
        if place:
            there = {*canon.residents.get(place, ()), *canon.workers.get(place, ())} - {npc.id}
            if fact.subject == place and not there.isdisjoint(fact.known_by):
                return True
    return False


def company(canon: Canon, npc: Npc, other: Npc) -> bool:
    """Whether two people can keep company at all."""
    return other.alive and other.archetype not in BEASTS and not canon.hostile(npc.faction, other.faction)
