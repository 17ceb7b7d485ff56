"""Drafts drawn by hypothesis, with all that a text or an id may hold, and one that a person would write."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from app.modules.quests.draft import Draft, DraftBranch, DraftFailure, DraftReward, DraftStep
from app.modules.quests.quest import Credit, Scope, Share

NASTY = (
    "->", "<-", "<>", "*", "+ [x]", "#", "[[link->there]]", "{a|b}", "<<if $x>>", "===", "---", "\n", "\r\n", "\t",
    "'; DROP TABLE quests; --", '"', "\\", "\\#", "//", "/* x */", "VAR x = 1", "TODO: y", "=> z", "~ x", "%0A", "%",
    ":", ",", "|", "é", "e\u0301", "雪", "🗡️", "\u200c", "\u2028", "\u00a0", "\x07", "::", "$name", "(set: $a to 1)",
    "&amp;", "]]>", "<script>", "-- ", "INCLUDE a.ink", "- else:", ">", "`", "# quest: x", "#step:y", " ", "raw",
)  # fmt: skip
plain = st.characters(codec="utf-8", exclude_characters="\x00")
signs = st.sampled_from(NASTY)
titles = st.one_of(
    signs, st.text(plain, min_size=1, max_size=6), st.tuples(signs, signs, signs).map("".join),
    st.tuples(signs, st.text(plain, max_size=3)).map("word ".join),
)  # fmt: skip
texts = st.one_of(st.just(""), titles)
ids = st.one_of(st.sampled_from(("s1", "miller", "mill_2", "x.y", "7")), titles)
others = st.one_of(st.just(""), ids)
numbers = st.floats(min_value=0, max_value=1e12, allow_nan=False)
steps = st.builds(
    DraftStep, id=ids, action=others, target=others, item=others, location=others, topic=others, kind=others,
    count=st.integers(1, 1_000), each=st.booleans(), optional=st.booleans(), text=texts,
    after=st.lists(ids, max_size=2).map(tuple),
)  # fmt: skip
names = st.lists(others, max_size=2).map(tuple)
some_steps = st.lists(steps, min_size=1, max_size=3, unique_by=lambda step: step.id).map(tuple)
branches = st.lists(
    st.builds(DraftBranch, id=ids, text=texts, forbid=names, steps=some_steps), max_size=2, unique_by=lambda one: one.id
)
rewards = st.builds(
    DraftReward,
    experience=st.integers(0, 1_000_000_000),
    coins=st.integers(0, 1_000_000_000),
    items=st.lists(ids, max_size=2).map(tuple),
)
failures = st.lists(st.builds(DraftFailure, entity=ids, text=texts), max_size=2, unique_by=lambda one: one.entity)
drafts = st.builds(
    Draft, id=others, title=titles, description=texts, giver=ids, player=others, level=st.integers(0, 1_000),
    steps=some_steps, branches=branches.map(tuple), forbid=names, requires=st.lists(ids, max_size=2).map(tuple),
    failures=failures.map(tuple), reward=st.one_of(st.none(), rewards), scope=st.sampled_from(get_args(Scope)),
    guild=others, members_max=st.integers(1, 1_000), credit=st.sampled_from(get_args(Credit)),
    share=st.sampled_from(get_args(Share)), from_s=numbers, until_s=st.one_of(st.none(), numbers),
    repeat_s=st.one_of(st.none(), numbers),
)  # fmt: skip
files = st.lists(drafts, min_size=1, max_size=2, unique_by=lambda draft: draft.id).map(tuple)

RING = Draft(
    id="q7",
    title="The smith's ring",
    description="Brom lost his ring at the weir.\nIt was his mother's.",
    giver="brom",
    level=3,
    steps=(
        DraftStep(id="ask", action="learn", target="mara", topic="ring lost_at", text="Ask Mara where the ring fell."),
        DraftStep(
            id="herbs", action="gather", kind="herb", count=3, optional=True, text="Pick three herbs on the way."
        ),
    ),
    branches=(
        DraftBranch(
            id="peace",
            text="Buy it back",
            forbid=("kill", "steal"),
            steps=(
                DraftStep(id="buy", action="trade", item="ring", target="fence", text="Buy the ring.", after=("ask",)),
                DraftStep(id="give", action="give", item="ring", target="brom", after=("buy",)),
            ),
        ),
        DraftBranch(
            id="war",
            text="Take it from the bandit",
            steps=(DraftStep(id="slay", action="kill", target="bandit", text='Slay "Red" Olaf — or be slain.'),),
        ),
    ),
    requires=("q6",),
    failures=(DraftFailure(entity="ring", text="Then it is gone for good."),),
    reward=DraftReward(experience=120, coins=30, items=("hammer",)),
    until_s=86_400.0,
)
BEFORE = Draft(
    id="q6",
    title="First, a loaf",
    giver="mara",
    steps=(DraftStep(id="s1", action="goto", location="bakery", text="Go to the bakery."),),
)
