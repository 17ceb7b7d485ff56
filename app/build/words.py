"""Opens what writes: the engines that have a key or a file, the orchestrator over them, and the authored lines.

It reads keys from the environment and imports each vendor's code only when the profile names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.build.engines import Engines
from app.build.providers import open_cloud
from app.core.clock import Clock
from app.core.engines import Anthropic, Authored, Azure, Llama, OpenAI, Orchestrator
from app.core.errors import EngineDown, Invalid
from app.core.profile import Profile
from app.core.spending import Budgets
from app.core.tenants import Rules
from app.core.words import Words
from app.engines.orchestration.members import Limits
from app.engines.orchestration.orchestrator import Orchestrator as WordsOrchestrator
from app.engines.orchestration.sovereignty import places_of
from app.engines.orchestration.watch import Meter
from app.telemetry.metrics import RungWatch
from app.world.loops import Governor


def open_words(
    profile: Profile,
    engines: Engines,
    *,
    root: Path,
    clock: Clock,
    watch: RungWatch,
    environment: Mapping[str, str],
    budgets: Budgets,
    rules: Rules,
    meter: Meter,
    governor: Governor | None = None,
) -> tuple[WordsOrchestrator | None, Words]:
    """The orchestrator over every engine that has a key or a file (None without any), and the authored engine.

    Raises Invalid for a table that names an engine or a role which the profile does not have.
    """
    from app.engines.authored.engine import open_authored

    language = next((spec.language for spec in profile.engines.values() if isinstance(spec, Authored)), "en")
    authored = engines.add(open_authored(language=language, governor=governor))
    chosen = profile.engines.get("words")
    if not isinstance(chosen, Orchestrator):
        return None, authored
    found = [_open_provider(name, profile, engines, root=root, environment=environment) for name in _named(chosen)]
    running = [engine for engine in found if engine is not None]
    if not running:
        return None, authored
    limits = {
        name: Limits(first_token_ms=spec.first_token_ms, gap_ms=spec.gap_ms, total_ms=spec.total_ms)
        for name, spec in profile.engines.items()
        if isinstance(spec, OpenAI | Azure | Anthropic | Llama)
    }
    orchestrator = WordsOrchestrator(
        running,
        clock=clock,
        watcher=watch,
        settings=chosen,
        limits=limits,
        budgets=budgets,
        rules=rules,
        regions=regions_of(profile),
        meter=meter,
    )
    return engines.add(orchestrator), authored


def regions_of(profile: Profile) -> dict[str, str]:
    """Where each engine is that is not on this machine or its own network."""
    return {name: region for name, region in places_of(profile).items() if region is not None}


def _named(chosen: Orchestrator) -> list[str]:
    """Every engine that the orchestrator's table names, once."""
    roles = (name for names in chosen.roles.values() for name in names)
    variants = (variant.engine for task in chosen.tasks.values() for variant in task.variants)
    return list(dict.fromkeys((*chosen.providers, *roles, *variants)))


def _open_provider(
    name: str, profile: Profile, engines: Engines, *, root: Path, environment: Mapping[str, str]
) -> Words | None:
    """One provider; without its key, its file or its package it is left out, visibly."""
    spec = profile.engines.get(name)
    if isinstance(spec, Llama):
        return _open_llama(name, spec, engines)
    if not isinstance(spec, OpenAI | Azure | Anthropic):
        raise Invalid(
            f"engines.words names {name!r}, which writes nothing", hint=f"name an engine table such as {'openai'!r}"
        )
    return open_cloud(name, spec, engines, root=root, environment=environment, outbound=profile.outbound)


def _open_llama(name: str, spec: Llama, engines: Engines) -> Words | None:
    """The model on this machine; it is loaded with its first line."""
    if not spec.file:
        engines.lack(name, "llama", "no GGUF file", f"export INNKEEPER__ENGINES__{name.upper()}__FILE=…")
        return None
    try:
        from app.engines.llama.engine import open_llama

        return engines.add(open_llama(name, spec))
    except ModuleNotFoundError as error:
        engines.lack(name, "llama", f"the package {error.name!r} is not installed", "uv sync --extra llama", asked=True)
    except EngineDown as error:
        engines.lack(name, "llama", error.message, error.hint, asked=True)
    return None
