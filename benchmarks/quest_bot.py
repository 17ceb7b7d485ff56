"""Quests played over the real API by a bot: how they end among greedy rivals, sudden deaths and power cuts.

A server in a process of its own is killed in the middle and goes on from its log. It fails where a quest is left in
limbo, a payout changes, is told twice for different sums or does not add up, or a quest is lost undeclared. With
`--calm` nobody disturbs anybody, and every quest has to be completed. No peer is run here.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.modules.quests.bot import Bot
from tests.modules.quests.ledger import Tally

ENDS = ("completed", "compensated", "failed", "expired", "abandoned")
A_WORLD = 25
"""Quests asked for in one world; a server holds 64 worlds of a tenant."""
KINDS = ("solo", "party", "guild", "server", "written")


def main() -> int:
    """Play, print the counts, and say with the exit code whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quests", type=int, default=500, help="how many quests are played to their end")
    parser.add_argument("--seed", type=int, default=1, help="of the worlds and of chance")
    parser.add_argument("--kill-every", type=int, default=700, help="events between two power cuts; 0 for none")
    parser.add_argument("--cuts", type=int, default=2, help="power cuts at most")
    parser.add_argument("--calm", action="store_true", help="without rivals, deaths, whims and treason")
    parser.add_argument("--json", action="store_true", help="print one object instead of lines")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bot = Bot(
            Path(folder),
            seed=chosen.seed,
            kill_every=chosen.kill_every,
            cuts_max=chosen.cuts,
            calm=chosen.calm,
            a_world=A_WORLD,
        )
        try:
            tally = bot.run(chosen.quests, lambda so_far: _told(so_far, chosen.quests))
        finally:
            bot.close()
    found = figures(tally)
    print(json.dumps(found) if chosen.json else "\n".join(f"{name:16} {value}" for name, value in found.items()))
    faults = tally.faults
    if chosen.calm and set(tally.ends) != {"completed"}:
        faults.append(f"calm players did not complete all: {dict(tally.ends)}")
    for fault in faults:
        print(f"fault: {fault}", file=sys.stderr)
    return 1 if faults else 0


def figures(tally: Tally) -> dict[str, int]:
    """What is printed, by name."""
    return {
        **{end: tally.ends[end] for end in ENDS},
        **{kind: tally.kinds[kind] for kind in KINDS},
        "declared": tally.declared,
        "limbo": len(tally.limbo),
        "undeclared": len(tally.undeclared),
        "payouts": len(tally.payouts),
        "doubled": len(tally.doubled),
        "wrong_sums": len(tally.wrong),
        "lost": len(tally.lost),
        "refused": tally.refused,
        "power_cuts": tally.kills,
    }


def _told(tally: Tally, quests: int) -> None:
    print(f"\r{sum(tally.ends.values())} of {quests} quests", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
