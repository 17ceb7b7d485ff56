"""Every limit of the quests module, with its unit last."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults suit a village of a few hundred NPCs."""

    deadline_ms: int = 1_000
    """Time for a request that names none."""

    verify_ms: int = 10_000
    """Time for judging or offering a hand-written quest where the client names none."""

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

    recheck_states_max: int = 200
    """States expanded when an active quest is re-checked while an event is applied; at the cap it goes on."""

    stand_ins_max: int = 8
    """Items of a kind tried, nearest first, in the place of one that an active quest has lost."""

    focus_entities_max: int = 2_000
    """Entities that one planning task may speak of; at the cap a verdict is `unknown`."""

    plan_steps_max: int = 40
    """Longest plan that a generated quest may have."""

    open_per_player_max: int = 25
    """Offered and active quests of one player."""

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
