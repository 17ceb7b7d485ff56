"""Every limit of the quests module, with its unit last."""

from __future__ import annotations

import msgspec

from app.modules.quests.generation.pacing import Pacing
from app.world.moderation import DEFAULT_RATING


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults suit a village of a few hundred NPCs."""

    deadline_ms: int = 1_000
    """Time for a request that names none."""

    verify_ms: int = 10_000
    """Time for judging or offering a hand-written quest where the client names none."""

    export_bytes_max: int = 1_048_576
    """Size of one quest as a file of another tool."""

    tries_max: int = 12
    """Strategies tried at full size before simpler ones are."""

    bindings_max: int = 6
    """Ways of casting the roles that are tried for one strategy."""

    candidates_max: int = 64
    """Entities looked at for one role, in seeded order."""

    states_max: int = 4_000
    """States that one plan search may expand; at the cap a verdict is `unknown`."""

    cast_states_max: int = 250
    """States expanded for one cast of a generated quest; at the cap the next cast is tried."""

    lock_states_max: int = 2_000
    """States of one independent part of a quest that the soft-lock proof looks at; at the cap it claims nothing."""

    operators_max: int = 20_000
    """Grounded actions of one planning task; at the cap a verdict is `unknown`."""

    recheck_states_max: int = 60
    """States expanded when an active quest is mended while an event is applied; at the cap a worker goes on."""

    recheck_operators_max: int = 400
    """Grounded actions of one look for a way while an event is applied."""

    recheck_proofs_max: int = 3
    """Looks for a way while one event is applied, for all quests together; the others are left to a worker."""

    repair_proofs_max: int = 40
    """Looks for a way for one quest in a worker: other casts, heirs and branches."""

    heirs_max: int = 4
    """Who is tried, nearest first, in the place of someone dead to whom something was to be told or brought."""

    ending_share: float = 0.6
    """Share of the reward where the deed is done and nobody is left to hear of it, in [0, 1]."""

    compensation_share_max: float = 0.75
    """Most of a reward that is paid for a quest which the world has ended, in [0, 1]."""

    suspended_s_max: float = 86_400.0
    """Game seconds for which a quest waits for a way to come back before it is compensated."""

    repairs_kept_max: int = 16
    """Newest repairs that a quest tells of."""

    repeats_per_hour_max: int = 4
    """How often in one hour of the game the same player is paid for one repeatable quest."""

    stand_ins_max: int = 8
    """Items of a kind tried, nearest first, in the place of one that an active quest has lost."""

    focus_entities_max: int = 2_000
    """Entities that one planning task may speak of; at the cap a verdict is `unknown`."""

    plan_steps_max: int = 40
    """Longest plan that a generated quest may have."""

    open_per_player_max: int = 25
    """Live quests of one player, of one guild, or of the whole server."""

    foe_levels_above_max: int = 3
    """Levels above the player's own at which a foe can still be beaten."""

    hostile_relation_max: float = -0.3
    """A faction relation at or below this makes the other side an enemy, in [-1, 1]."""

    experience_per_effort: float = 10.0
    """Experience points for one unit of effort at level 1."""

    coins_per_effort: float = 2.0
    """Coins for one unit of effort at level 1."""

    reward_growth_per_level: float = 0.08
    """Share by which the reward for the same effort grows with each level."""

    reward_points: tuple[str, ...] = ()
    """The studio's own curve: coins of a typical quest, as `level=coins`; without it, one that was measured is used."""

    reward_deviation_share: float = 0.45
    """Standard deviation of the rewards inside a level, as a share of their mean."""

    reward_over_budget_max: float = 3.0
    """Typical rewards of its level that a quest may pay beyond what the player spends."""

    expenses_over_budget_max: float = 1.5
    """Typical rewards of its level that the player of a generated quest may have to spend first."""

    repeat_coins_per_hour_max: float = 60.0
    """Coins that a quest which can be had again may pay in a game hour, beyond what the player spends."""

    item_prices: dict[str, float] = msgspec.field(default_factory=dict)
    """Coins that an item of a kind counts as; other items count as their own value."""

    plots_max: int = 3
    """Ways to work out one strategy that are tried."""

    casts_compared_max: int = 2
    """Proved casts of which the least fragile is taken."""

    branches_max: int = 2
    """Further ways to the end that a generated quest may have."""

    heard_max: int = 200
    """Newest quests of a world whose wording the next one keeps away from."""

    words_ms: int = 8_000
    """Time for a model to word the texts of a quest, within the request's own; after it the grammar's stand."""

    words_tokens_max: int = 2_000
    """Tokens that a model may write for one quest."""

    rating: str = DEFAULT_RATING
    """What a model's texts must be fit for."""

    pacing: Pacing = Pacing()
    """How quickly players are stirred and rest, and so what their next quest is like."""

    audit_ms: int = 60_000
    """Time for an audit where the client names none."""

    audit_pairs_max: int = 20_000
    """Pairs of quests tried for shutting each other out."""

    audit_peers_min: int = 8
    """Rewards in a set from which on each is held against the others."""

    audit_peers_max: int = 30
    """Rewards of the nearest levels that one is held against."""

    audit_reward_times_max: float = 6.0
    """A reward for the same effort that is so many times the usual one is out of budget."""

    audit_repeats_per_hour_max: float = 12.0
    """A quest with a gain may be repeated so often in an hour of game time."""

    audit_level_gap_max: int = 3
    """Levels from one quest to the next, above which a gap is pointed out."""
