"""V4: whether a player can act so that the quest is lost, found by looking at every state where that is feasible.

It works on grounded actions, all that the vocabulary allows and not only those that help. What can always be had again
is taken out first; what is left falls into parts that do not touch each other, and each part is searched whole:
forward from the start, then backward from the goals. Where a part has more states than the cap nothing is claimed, and
every act that takes something away is named instead, since no quest is lost without one.
Source of the closure: Haslum et al. 2019 on dead ends; the partition is that of causal graphs (Helmert 2004).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from app.modules.quests.planning.domain import PLAYER, Fact, deeds_of, ground
from app.modules.quests.planning.grounding import Operator, Task


@dataclass(frozen=True, slots=True)
class Aim:
    """One way to the end: all of `deeds`, by the actions in `allowed`."""

    deeds: tuple[Fact, ...]
    allowed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Loss:
    """An act after which a way is lost: what it took away, and the deeds that can no more be done."""

    fact: Fact
    action: tuple[str, ...]
    deeds: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Locks:
    """Every losing act. With `exact` there are no others and each is proved; else each only may be one."""

    losses: tuple[Loss, ...]
    exact: bool


@dataclass(frozen=True, slots=True)
class _Act:
    """An operator as bits: `gone` is what it takes away for good, `ways` the aims that may use it.

    `taken` is `gone` as it was before facts were put together.
    """

    operator: Operator
    pre: int
    add: int
    gone: int
    ways: int
    taken: int


_Move = tuple[int, int, int, int]
"""What an act needs, adds and takes away within a part, and the ways that allow it."""


@dataclass(slots=True)
class _Part:
    """Facts that hang together, and the acts on them; `within` are all of them, before some were put together."""

    facts: int
    acts: list[_Act]
    within: int


def locks_of(task: Task, aims: Sequence[Aim], *, renewed: frozenset[str], states_max: int) -> Locks:
    """The acts by which a player can lose every one of the `aims`; `renewed` are ids of what comes back by itself.

    `task` must hold all operators (`grounded_whole`) and start where every aim can be reached.
    """
    acts = list(_acts(task, aims, renewed))
    wanted = [sum(1 << task.numbers[deed] for deed in dict.fromkeys(aim.deeds)) for aim in aims]
    every = (1 << len(aims)) - 1
    loose = _loose(task.init, acts, sum_bits(wanted), every)
    parts = [_joint(part, task.init) for part in _parts(acts, loose)]
    found = [_searched(part, task, wanted, states_max) for part in parts]
    if any(lost is None for lost in found):
        return Locks(tuple(_suspects(task, acts, loose, aims)), exact=False)
    sure = [lost for lost in found if lost is not None]
    if not _all_can_be_lost(sure, len(aims)):
        return Locks((), exact=True)
    return Locks(tuple(_distinct(loss for lost in sure for loss in lost.losses)), exact=True)


def sum_bits(masks: Iterable[int]) -> int:
    """All bits of all masks."""
    total = 0
    for mask in masks:
        total |= mask
    return total


def _acts(task: Task, aims: Sequence[Aim], renewed: frozenset[str]) -> Iterator[_Act]:
    """Each operator with the deeds that its event leaves, and without what it takes only for a while."""
    every = (1 << len(task.numbers)) - 1
    names = list(task.numbers)
    back = sum(1 << number for number, fact in enumerate(names) if _comes_back(fact, renewed))
    elsewhere = 0
    if _returns(task):
        back |= sum(1 << number for number, fact in enumerate(names) if fact[0] in ("here", "at"))
        elsewhere = _elsewhere(task, aims)
    for operator in task.operators:
        if operator.pre_mask & elsewhere:
            continue
        deeds = deeds_of(operator.schema.happened(operator.args, PLAYER), PLAYER)
        add = operator.add_mask | sum(1 << task.numbers[deed] for deed in deeds if deed in task.numbers)
        gone = ~operator.keep_mask & every & ~add & ~back
        yield _Act(
            operator=operator,
            pre=operator.pre_mask,
            add=add,
            gone=gone,
            taken=gone,
            ways=sum(1 << number for number, aim in enumerate(aims) if operator.schema.name in aim.allowed),
        )


def _elsewhere(task: Task, aims: Sequence[Aim]) -> int:
    """Places of NPCs other than their first, but of those whom the quest leads somewhere.

    What can be done with someone elsewhere can as well be done at the first place, which the player knows from there.
    """
    led = {deed[1] for aim in aims for deed in aim.deeds if deed[0] == "escorted"}
    moved = (number for fact, number in task.numbers.items() if fact[0] == "at" and fact[1] not in led)
    return sum(1 << number for number in moved if not task.init >> number & 1)


def _comes_back(fact: Fact, renewed: frozenset[str]) -> bool:
    match fact:
        case ("alive" | "free" | "hostile", npc):
            return npc in renewed
        case ("lies", item, _) | ("holds", _, item):
            return item in renewed
        case _:
            return False


def _returns(task: Task) -> bool:
    """Whether every way leads both ways, so that being somewhere is never lost.

    Then the player can walk back as it came, through doors that stay open, and whoever it has led somewhere can be met
    there as well as elsewhere, since no act but walking asks for a certain place.
    """
    stands = (fact[1] for fact, number in task.numbers.items() if fact[0] == "here" and task.init >> number & 1)
    start = next(stands, "")

    def reached(place: str) -> bool:
        return ("here", place) in task.numbers

    def holds(fact: Fact) -> bool:
        number = task.numbers.get(fact)
        return number is not None and bool(task.init >> number & 1)

    paths = [fact for fact in task.numbers if fact[0] == "path" and ("here", fact[1]) in task.numbers]
    return holds(("open", start)) and all(holds(("path", there, here)) for _, here, there in paths if reached(there))


def _loose(init: int, acts: Sequence[_Act], goals: int, every: int) -> int:
    """Facts on which it depends whether the goals are lost.

    What only an act against them needs is left out where the player can lay it all by before anything else is done:
    then such an act is possible in every state.
    """
    sure = _lasting(init, acts, -1, every=every)
    core = _needed(acts, goals, sure, harm=False)
    loose = core & ~_lasting(init, acts, core, every=every)
    if _armed(init, acts, core, loose):
        return loose
    needed = _needed(acts, goals, sure, harm=True)
    return needed & ~_lasting(init, acts, needed, every=every)


def _needed(acts: Sequence[_Act], goals: int, sure: int, *, harm: bool) -> int:
    """Facts beside the `sure` ones that a goal may need, and with `harm` those that an act against them needs."""
    needed, before = goals & ~sure, -1
    while needed != before:
        before = needed
        for act in acts:
            if act.add & needed or (harm and act.gone & needed):
                needed |= act.pre & ~sure
    return needed


def _armed(init: int, acts: Sequence[_Act], core: int, loose: int) -> bool:
    """Whether what each harmful act needs beside `core` can be had without touching `loose`.

    A plan is looked for as if nothing were taken away, and then gone through with what is.
    """
    kits = dict.fromkeys(act.pre & ~core for act in acts if act.gone & loose)
    known, order, before = init, [], -1
    while known != before:
        before = known
        for act in acts:
            if act.pre & ~known == 0 and act.add & ~known and not (act.gone & core or act.add & loose & ~init):
                order.append((act, act.add & ~known))
                known |= act.add
    return all(_laid_by(init, order, kit) for kit in kits if kit)


def _laid_by(init: int, order: Sequence[tuple[_Act, int]], kit: int) -> bool:
    """Whether the acts that first bring the kit about, in their order, do so one after another."""
    wanted, plan = kit & ~init, []
    for act, first in reversed(order):
        if first & wanted:
            plan.append(act)
            wanted = wanted & ~first | act.pre & ~init
    state = init
    for act in reversed(plan):
        if act.pre & ~state:
            return False
        state = state & ~act.gone | act.add
    return kit & ~state == 0


def _lasting(init: int, acts: Sequence[_Act], needed: int, *, every: int) -> int:
    """Facts that are never lost and can be had at any time without losing anything."""
    mortal = sum_bits(act.gone for act in acts)
    lasting, before = init & ~mortal, -1
    free = [act for act in acts if not act.gone & needed and act.ways == every]
    while lasting != before:
        before = lasting
        for act in free:
            if act.pre & ~lasting == 0:
                lasting |= act.add & ~mortal
    return lasting


def _parts(acts: Sequence[_Act], loose: int) -> list[_Part]:
    """The loose facts, parted so that no act speaks of two parts."""
    parts: list[_Part] = []
    for act in acts:
        touched = (act.pre | act.add | act.gone) & loose
        if not (act.add | act.gone) & loose:
            continue
        joined = _Part(touched, [act], touched)
        apart: list[_Part] = []
        for part in parts:
            if part.facts & touched:
                joined.facts = joined.within = joined.facts | part.facts
                joined.acts = part.acts + joined.acts
            else:
                apart.append(part)
        parts = [*apart, joined]
    return parts


def _joint(part: _Part, init: int) -> _Part:
    """The part with one fact in the place of several that can only end, and are of use only together."""
    mortal = part.facts & init & ~sum_bits(act.add for act in part.acts)
    users: dict[tuple[int, ...], int] = {}
    for bit in _bits(mortal):
        useful = [act.pre >> bit & 1 and act.add & part.facts for act in part.acts]
        key = tuple(number for number, use in enumerate(useful) if use)
        users[key] = users.get(key, 0) | 1 << bit
    harmful = [act for act in part.acts if not act.add & part.facts]
    for key, group in users.items():
        apart = any(act.pre & group and act.gone & part.facts & ~group for act in harmful)
        if key and group.bit_count() > 1 and not apart:
            part = _merged(part, group)
    return part


def _merged(part: _Part, group: int) -> _Part:
    one = group & -group

    def merged(mask: int) -> int:
        return mask & ~group | one if mask & group else mask

    acts = [replace(act, pre=merged(act.pre), gone=merged(act.gone)) for act in part.acts]
    return _Part(merged(part.facts), acts, part.within)


@dataclass(frozen=True, slots=True)
class _Lost:
    """What one part shows: which ways can be lost together (as bits), and by which acts."""

    together: tuple[int, ...]
    losses: tuple[Loss, ...]


def _searched(part: _Part, task: Task, wanted: Sequence[int], states_max: int) -> _Lost | None:
    """Every state of a part, or None where there are too many."""
    named: dict[_Move, _Act] = {}
    for act in part.acts:
        named.setdefault((act.pre & part.facts, act.add & part.facts, act.gone & part.facts, act.ways), act)
    moves = list(named)
    numbers = {task.init & part.facts: 0}
    states = list(numbers)
    came: list[list[tuple[int, int]]] = [[]]
    for here, state in enumerate(states):
        for move, (pre, add, gone, _) in enumerate(moves):
            if state & pre != pre:
                continue
            reached = state & ~gone | add
            if reached == state:
                continue
            number = numbers.get(reached)
            if number is None:
                if len(states) >= states_max:
                    return None
                number = numbers[reached] = len(states)
                states.append(reached)
                came.append([])
            came[number].append((here, move))
    lost = [0] * len(states)
    for way, goals in enumerate(wanted):
        for number in _hopeless(states, came, moves, goals & part.facts, way):
            lost[number] |= 1 << way
    losses = tuple(_losing(task, part, wanted, came, lost, list(named.values())))
    return _Lost(tuple(dict.fromkeys(lost)), losses)


def _hopeless(
    states: Sequence[int],
    came: Sequence[Sequence[tuple[int, int]]],
    moves: Sequence[_Move],
    goals: int,
    way: int,
) -> Iterator[int]:
    """The states from which the goals cannot be reached by what the way allows."""
    hopeful = [state & goals == goals for state in states]
    queue = [number for number, hope in enumerate(hopeful) if hope]
    for number in queue:
        for before, move in came[number]:
            if not hopeful[before] and moves[move][3] >> way & 1:
                hopeful[before] = True
                queue.append(before)
    return (number for number, hope in enumerate(hopeful) if not hope)


def _losing(
    task: Task,
    part: _Part,
    wanted: Sequence[int],
    came: Sequence[Sequence[tuple[int, int]]],
    lost: Sequence[int],
    acts: Sequence[_Act],
) -> Iterator[Loss]:
    """The acts that lead from a state with hope into one without."""
    facts = list(task.numbers)
    for number, edges in enumerate(came):
        if not lost[number]:
            continue
        for before, move in edges:
            fresh = lost[number] & ~lost[before]
            if fresh:
                goals = sum_bits(mask for way, mask in enumerate(wanted) if fresh >> way & 1) & part.facts
                deeds = tuple(facts[bit] for bit in _bits(goals))
                yield Loss(_taken(acts[move], part.within, task), acts[move].operator.name, deeds)


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _taken(act: _Act, within: int, task: Task) -> Fact:
    """The first fact, in the order of its schema, that an act takes away."""
    for pattern in act.operator.schema.delete:
        fact = ground(pattern, act.operator.args)
        number = task.numbers.get(fact)
        if number is not None and act.taken & within & 1 << number:
            return fact
    return act.operator.name


def _all_can_be_lost(parts: Sequence[_Lost], ways: int) -> bool:
    """Whether one state of the whole loses every way; parts are independent, so any of their states can meet."""
    unions = {0}
    for part in parts:
        unions |= {one | other for one in unions for other in part.together}
    return (1 << ways) - 1 in unions


def _suspects(task: Task, acts: Sequence[_Act], loose: int, aims: Sequence[Aim]) -> Iterator[Loss]:
    """Every act that takes something needed away: without one of them the plan stays possible."""
    deeds = tuple(dict.fromkeys(deed for aim in aims for deed in aim.deeds))
    yield from _distinct(Loss(_taken(act, loose, task), act.operator.name, deeds) for act in acts if act.gone & loose)


def _distinct(losses: Iterable[Loss]) -> Iterator[Loss]:
    """The first loss of each fact and kind of act."""
    seen: dict[tuple[Fact, str], Loss] = {}
    for loss in losses:
        seen.setdefault((loss.fact, loss.action[0]), loss)
    return iter(seen.values())
