"""Every fault of a provider through a gateway, streamed and whole: who answers, who says so, and who passes it off.

The first provider fails, the second is well and goes on from what was said. It judges as a client does that trusts the
protocol: an answer that ends as it should and says something else than the line is a false success.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Literal

from report import note

from gateways.clients import Told, ask
from gateways.servers import Gateway, Standins
from tests.standin import FAULTS, Fault
from tests.standin.lines import EIGHTEEN

RESTING: tuple[Fault, ...] = ("429", "429_long", "401", "402")
"""After these a gateway may stay away from a provider for long; they come last."""
GIVE_UP_S = 10.0
TOLD_MAX = 400
"""Characters that are shown of an answer that is not right."""
Verdict = Literal["answered", "refused", "false"]


@dataclass(slots=True)
class Verdicts:
    """What came of each cell."""

    cells: dict[tuple[Fault, bool], Verdict] = field(default_factory=dict)
    unmet: list[tuple[Fault, bool]] = field(default_factory=list)
    """Cells in which the failing provider was never asked."""

    def count(self, verdict: Verdict) -> int:
        return sum(found == verdict for found in self.cells.values())


def judge(told: Told, fault: Fault) -> Verdict:
    """Whether the line was answered, openly refused, or something else was passed off as an answer."""
    right = told.text.startswith(EIGHTEEN) if fault == "endless" else told.text == EIGHTEEN
    if right and told.finish and told.whole:
        return "answered"
    return "refused" if told.error or not told.whole else "false"


async def run(opened: Callable[[], AbstractContextManager[Gateway]], upstream: Standins, *, quick: bool) -> Verdicts:
    """Every cell through a gateway, which is opened anew where it does not ask the failing provider any more."""
    verdicts = Verdicts()
    with ExitStack() as stack:
        gateway = stack.enter_context(opened())
        for fault, stream in cells(quick=quick):
            found = await _cell(gateway, upstream, fault, stream)
            if found is None:
                stack.close()
                gateway = stack.enter_context(opened())
                found = await _cell(gateway, upstream, fault, stream)
            if found is None:
                verdicts.unmet.append((fault, stream))
            else:
                verdicts.cells[fault, stream] = found
    upstream.order(fault="none")
    return verdicts


def cells(*, quick: bool) -> Iterator[tuple[Fault, bool]]:
    """(fault, streamed), those after which a provider is left alone last."""
    for fault in (*(each for each in FAULTS if each not in RESTING), *RESTING):
        yield fault, True
        if not (quick and fault in RESTING):
            yield fault, False


async def _cell(gateway: Gateway, upstream: Standins, fault: Fault, stream: bool) -> Verdict | None:
    """One request under the fault, after a few that are well; None where the failing provider was not asked."""
    upstream.order(fault="none")
    for _ in range(3):
        await ask(gateway, stream=False, give_up_s=GIVE_UP_S)
    before = upstream.order(fault=fault)["asked"]
    told = await ask(gateway, stream=stream, give_up_s=GIVE_UP_S)
    after = upstream.order()["asked"]
    if fault != "refuse" and after[0] == before[0]:
        return None
    verdict = judge(told, fault)
    if verdict != "answered":
        note(f"{gateway.name}, {fault}, {'streamed' if stream else 'whole'}: {verdict}: {str(told)[:TOLD_MAX]}")
    return verdict
