"""Opens the cloud engines: those that have a key, or that need none.

It reads keys from the environment, and imports what calls a vendor only when a profile names one that can be called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.build.engines import Engines
from app.core.engines import Anthropic, Azure, OpenAI, Rate
from app.core.outbound import Outbound
from app.core.words import Words
from app.engines import prices


def open_cloud(
    name: str,
    spec: OpenAI | Azure | Anthropic,
    engines: Engines,
    *,
    root: Path,
    environment: Mapping[str, str],
    outbound: Outbound,
) -> Words | None:
    """One engine; without its key, its address or its package it is left out, visibly. Raises Invalid."""
    kind = type(spec).__name__.lower()
    key = environment.get(spec.key_env, "") if spec.key_env else ""
    if not key and not _keyless(spec):
        engines.lack(name, kind, f"no key in {spec.key_env or 'key_env'}", f"export {spec.key_env or 'KEY'}=…")
        return None
    endpoint = environment.get(spec.endpoint_env, "") if isinstance(spec, Azure) else ""
    if isinstance(spec, Azure) and not endpoint:
        engines.lack(name, kind, f"no address in {spec.endpoint_env}", f"export {spec.endpoint_env}=…")
        return None
    try:
        table = prices.load(root / "models" / "prices.toml")
        return engines.add(_open(name, spec, key=key, endpoint=endpoint, table=table, outbound=outbound))
    except ModuleNotFoundError as error:
        engines.lack(name, kind, f"the package {error.name!r} is not installed", "uv sync --extra cloud")
        return None


def _keyless(spec: OpenAI | Azure | Anthropic) -> bool:
    """Whether the profile says that the server takes no key: never so for a vendor's own address."""
    return isinstance(spec, OpenAI | Anthropic) and not spec.key_env and bool(spec.base_url)


def _open(
    name: str, spec: OpenAI | Azure | Anthropic, *, key: str, endpoint: str, table: prices.Prices, outbound: Outbound
) -> Words:
    price = _own_price(spec.price)
    match spec:
        case OpenAI():
            from app.engines.providers.openai import open_openai

            return open_openai(
                name=name,
                model=spec.model,
                key=key,
                base_url=spec.base_url,
                api=spec.api,
                data_residency=spec.data_residency,
                token_field=spec.token_field,
                prices=table,
                own_price=price,
                outbound=outbound,
            )
        case Azure():
            from app.engines.providers.azure import open_azure

            return open_azure(
                name=name,
                endpoint=endpoint,
                deployment=spec.deployment,
                model=spec.model,
                api=spec.api,
                api_version=spec.api_version,
                key=key,
                prices=table,
                own_price=price,
                outbound=outbound,
            )
        case Anthropic():
            from app.engines.providers.anthropic import open_anthropic

            return open_anthropic(
                name=name,
                model=spec.model,
                key=key,
                base_url=spec.base_url,
                inference_geo=spec.inference_geo,
                prices=table,
                own_price=price,
                outbound=outbound,
            )


def _own_price(rate: Rate | None) -> prices.Price | None:
    """The operator's rate as a price; what it does not name costs as input."""
    if rate is None:
        return None
    cached = rate.input_usd if rate.cached_input_usd is None else rate.cached_input_usd
    written = rate.input_usd if rate.cache_write_usd is None else rate.cache_write_usd
    return prices.Price(
        model="own",
        input_usd=rate.input_usd,
        output_usd=rate.output_usd,
        cached_input_usd=cached,
        cache_write_usd=written,
        source="profile",
        date="",
    )
