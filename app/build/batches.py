"""Opens work that can wait: the batches of the vendors that run and have any, and the ordinary way for all else.

A bill goes to the world that it was made for, as a line of dialogue's does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.build.engines import Engines
from app.build.words import regions_of
from app.core.clock import Clock
from app.core.engines import Anthropic, OpenAI
from app.core.ports import Journal, Log
from app.core.profile import Profile
from app.core.spending import Budgets
from app.core.tenants import Rules
from app.core.words import Completion, Spent, Words
from app.stores.batches import BatchShelf
from app.stores.database import Database
from app.world.usage import charged

if TYPE_CHECKING:
    from app.engines.batches.tier import BatchTier
    from app.engines.batches.vendor import Vendor


def open_batches(
    profile: Profile,
    engines: Engines,
    words: Words | None,
    *,
    database: Database,
    journal: Journal,
    budgets: Budgets,
    rules: Rules,
    clock: Clock,
    log: Log,
    owner: str,
    environment: Mapping[str, str],
) -> BatchTier | None:
    """The tier, at work; None where no model writes."""
    if words is None:
        return None
    from app.engines.batches.tier import BatchTier

    async def booked(tenant: str, world: str, completion: Completion, spent: Sequence[Spent], key: str) -> None:
        await journal.append(
            tenant, world, [charged(one, npc=completion.npc, player=completion.player) for one in spent], key=key
        )

    tier = BatchTier(
        words,
        BatchShelf(database),
        _vendors(profile, engines, environment),
        clock=clock,
        log=log,
        settings=profile.batches,
        owner=owner,
        booked=booked,
        hold_ms=profile.budgets.hold_ms,
        regions=regions_of(profile),
        budgets=budgets,
        rules=rules,
    )
    tier.start()
    return tier


def _vendors(profile: Profile, engines: Engines, environment: Mapping[str, str]) -> list[Vendor]:
    """In the profile's order, those that have batches."""
    found: list[Vendor] = []
    for name, spec in profile.engines.items():
        if not isinstance(spec, OpenAI | Anthropic):
            continue
        engine = engines.running(name)
        if engine is None or not (not spec.base_url if spec.batches is None else spec.batches):
            continue
        key, url, outbound = environment.get(spec.key_env, ""), spec.base_url, profile.outbound
        try:
            if isinstance(spec, OpenAI):
                from app.engines.batches.openai import open_openai_batches
                from app.engines.providers.chat import ChatCompletions

                if isinstance(engine, ChatCompletions):
                    found.append(open_openai_batches(engine, key=key, base_url=url, outbound=outbound))
            else:
                from app.engines.batches.anthropic import open_anthropic_batches
                from app.engines.providers.anthropic import Messages

                if isinstance(engine, Messages):
                    found.append(open_anthropic_batches(engine, key=key, base_url=url, outbound=outbound))
        except ModuleNotFoundError as error:
            mend = "uv sync --extra cloud"
            engines.lack(f"{name} batches", "batches", f"the package {error.name!r} is not installed", mend)
    return found
