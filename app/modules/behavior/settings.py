"""The limits of the behavior module, with their units."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.modules.behavior.trees.limits import TreeLimits


class PlannerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The slow brain, which gives NPCs intents in the background."""

    enabled: bool = False
    """Whether NPCs are planned for at all, where there is an engine of words."""
    alone: bool = False
    """Whether rules plan where there is no engine of words."""
    every_s: float = 30.0
    """Seconds between two plans of one NPC."""
    hold_s: float = 120.0
    """Game seconds that a planned intent holds."""
    look_ms: float = 1_000.0
    """Milliseconds between two looks at a world."""
    idle_s: float = 60.0
    """Seconds without a tick after which a world is not looked at any more."""
    deadline_ms: float = 20_000.0
    """Milliseconds that one request for plans may take."""
    rest_ms: float = 60_000.0
    """Milliseconds that the engine of words rests after three failures in a row."""
    batch_npcs_max: int = 24
    """Situations in one request for plans; NPCs in the same situation share one."""
    npcs_max: int = 4_096
    """NPCs of a world that are planned for at one look."""
    worlds_max: int = 64
    """Worlds that are looked at."""
    output_tokens_max: int = 2_000
    """Tokens that one answer may have."""
    answers_max: int = 4_096
    """Answers that are kept by situation."""
    answers_s: float = 600.0
    """Seconds that an answer is kept."""
    foresight_days: float = 0.1
    """Days that rules look ahead when they plan."""
    hunger_per_day: float = 1.0
    """How much hunger grows in a day, as the rules foresee it."""
    energy_per_day: float = 1.0
    """How much energy is used up in a day, as the rules foresee it."""


class Recording(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether and how much play is kept in files, to be replayed and learned from."""

    enabled: bool = False
    """Whether anything is recorded; behavior.feedback is refused while not."""
    folder: str = "recordings"
    """Where the files go, relative to the data folder."""
    npc_share: float = 0.1
    """Of all NPCs, which are recorded; an NPC is drawn for a whole episode, so that its story has no holes."""
    episode_ticks_max: int = 4_096
    """Ticks for which the same NPCs are recorded; then others are drawn."""
    world_bytes_max: int = 1_073_741_824
    """Bytes of one world's files; the oldest are dropped."""
    tenant_bytes_max: int = 10_737_418_240
    """Bytes of all files of a tenant; the oldest are dropped."""
    segment_bytes_max: int = 67_108_864
    """Bytes of one file."""
    queue_bytes_max: int = 67_108_864
    """Bytes that wait for the disk; ticks beyond are not recorded, and counted."""
    keys_max: int = 8_192
    """Idempotency keys of behavior.feedback remembered for each world, newest first."""
    worlds_max: int = 1_024
    """Worlds whose place in their files is kept in memory; the others begin a new file."""
    rewards_max: int = 65_536
    """NPCs in one behavior.feedback."""
    reward_size_max: float = 1_000_000.0
    """The largest reward, and the smallest below zero, that is accepted."""
    errors_max: int = 64
    """Rows whose faults one behavior.feedback lists; the rest is counted."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every number that an operator may change."""

    deadline_ms: int = 50
    """Milliseconds for a tick when the client names no deadline."""
    explain_deadline_ms: int = 1_000
    """Milliseconds for an explanation when the client names no deadline."""
    npcs_max: int = 16_384
    """NPCs in one behavior.decide."""
    policy_reserve_ms: float = 8.0
    """Milliseconds of the deadline that the policy leaves for the rules below it."""
    policy_failures_max: int = 3
    """Failures in a row after which the policy rests."""
    policy_rest_ms: float = 5_000.0
    """Milliseconds that the policy rests after failing repeatedly."""
    taste_share: float = 0.05
    """Size of the seeded preference that keeps NPCs in the same situation from acting as one; 0 = none."""
    taste_ticks_max: int = 64
    """Ticks for which an NPC keeps the same seeded preference."""
    recent_rows_max: int = 32_768
    """Decisions kept per world for behavior.explain."""
    recent_worlds_max: int = 256
    """Worlds whose decisions are kept for behavior.explain."""
    memory_npcs_max: int = 65_536
    """NPCs of a world of whom a recurrent policy remembers what it saw; the others are always new to it."""
    reasons_max: int = 8
    """Reasons that behavior.explain lists."""
    content_folder: str = ""
    """A studio's own `schemas/`, `utility/`, `steering/`, `schedules/`; relative to the working folder, "" = none."""
    candidates_max: Annotated[int, msgspec.Meta(ge=1, le=254)] = 64
    """Candidates of one NPC in one behavior.decide."""
    errors_max: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 256
    """NPCs whose errors a reply puts into words; the rest are counted."""
    tipping_rows_max: Annotated[int, msgspec.Meta(ge=64, le=65_536)] = 1_024
    """Observations that behavior.explain tries in one step of its search for what would have changed a decision."""
    steering: tuple[str, ...] = ()
    """Steering files in force in every world, by name without ending; later ones replace rules of the same name."""
    schedules: tuple[str, ...] = ()
    """Schedule files whose archetypes keep their hours without being told."""
    day_s: float = 86_400.0
    """Game seconds in a day, by which a schedule knows the day of the week."""
    steering_rules_max: int = 64
    """Steering rules that a world may have of its own."""
    squads_max: int = 1_024
    """Squads of one world."""
    rout_bonus_share: float = 0.5
    """What fleeing is worth more to members of a squad whose leader or greater half is dead; a utility."""
    planner: PlannerSettings = PlannerSettings()
    """The slow brain."""
    leads: dict[str, str] = {}
    """Archetype -> the brain that leads it: `tree:…`, `goals:…` or a rung; the others follow the ladder."""
    trees: TreeLimits = TreeLimits()
    """How large an authored brain may be."""
    recording: Recording = Recording()
    """Play that is kept, to be replayed and learned from."""
