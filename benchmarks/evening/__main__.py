"""Plays the evening and writes its transcript into the documentation: `cd benchmarks && python -m evening`."""

from __future__ import annotations

from evening.play import ROOT, Evening, evening

PAGE = ROOT / "docs" / "explanation" / "tavern-evening.md"
HEAD = """# An evening in the Copper Lantern

Ten minutes of talk without a model, a key or a network: every line of an NPC below was written by the authored rung of
a real server. Six NPCs, three players, rain, a small quest, and a purse that changes hands at five minutes. What the
players say is scripted (`benchmarks/evening/tavern.toml`), all else is what the server answered; this page is written
by `cd benchmarks && python -m evening`.

{spoken} lines of NPCs; {loops:.1%} of them repeat an earlier line of the same NPC (goal at most 1 %), distinct-2 is
{distinct:.2f} (goal at least 0.60).

"""


def page(played: Evening) -> str:
    """The transcript as Markdown."""
    spoken = sum(line.npc for line in played.lines)
    rows = [HEAD.format(spoken=spoken, loops=played.loop_rate, distinct=played.distinct_2)]
    table = ""
    for line in played.lines:
        time = f"{int(line.at_s) // 60}:{int(line.at_s) % 60:02d}"
        if not line.who:
            rows.append(f"\n`{time}` *{line.text}*\n")
            table = ""
            continue
        if line.table != table:
            rows.append("")
            table = line.table
        name = f"**{line.who}**" if line.npc else f"*{line.who}*"
        to = f" to {line.to}" if line.to else ""
        rows.append(f"`{time}` {name}{to}: {line.text}  ")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    played = evening()
    PAGE.write_text(page(played), encoding="utf-8")
    print(f"loop rate {played.loop_rate:.3f}, distinct-2 {played.distinct_2:.3f}: {PAGE.name}")
