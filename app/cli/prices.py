"""`manage.py prices`: make models/prices.toml and models/capabilities.toml at release time, and check them.

It needs two public price lists installed, asks no network, and changes nothing where they disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from app.cli.pricelists import (
    SETTLED,
    batch_share,
    capability,
    disagreements,
    first,
    regional,
    second,
    second_rates,
    served,
)
from app.core.errors import Invalid
from app.engines.prices import Price
from app.engines.providers import capabilities
from app.engines.providers.capabilities import Capability

ROOT = Path(__file__).resolve().parents[2]
PRICES = ROOT / "models" / "prices.toml"
PRICES_SAY = """\
# What a million tokens cost in US dollars, by model. A model without a row is charged the dearest rate in each column.
# Written by `manage.py prices build` from the data set genai-prices (MIT), which a second list agreed with. A cost
# without a rate of its own is that of input. A prompt above `long_tokens` costs the long rates, all of it.
"""
CAPABILITIES_SAY = """\
# What each model takes; what it does not take is dropped, not sent. Written by `manage.py prices build`, which keeps
# what is judged here: `effort` and `thinking` are the least thinking that the vendor's documentation lets one ask of
# the model; where it does not say how to turn it off, `thinking_tokens_max` is added to the line's own limit.
"""


@click.group()
def prices() -> None:
    """Make and check what models cost and what they take."""


@prices.command()
def build() -> None:
    """Write both tables anew from the two lists; nothing is written where they disagree."""
    rates, takes = _tables()
    PRICES.write_text(PRICES_SAY + "".join(_toml("price", row, Price) for row in rates), encoding="utf-8")
    rows = "".join(_toml("capability", row, Capability) for row in takes)
    capabilities.FILE.write_text(CAPABILITIES_SAY + rows, encoding="utf-8")
    click.echo(f"{len(rates)} models")


@prices.command()
def check() -> None:
    """Fail where the two lists disagree, or the tables are not what they say."""
    rates, takes = _tables()
    from app.engines.prices import load

    held = {row.model: msgspec.structs.replace(row, date="") for row in load(PRICES).rows}
    wanted = {row.model: msgspec.structs.replace(row, date="") for row in rates}
    stale = sorted(model for model in held | wanted if held.get(model) != wanted.get(model))
    kept = capabilities.load(capabilities.FILE)
    stale += sorted(row.model for row in takes if kept.get(row.model) != row)
    if stale:
        raise Invalid(f"the tables of models/ are not what the lists say: {stale}", hint="manage.py prices build")
    click.echo(f"{len(rates)} models, and both lists agree")


def _tables() -> tuple[list[Price], list[Capability]]:
    """Both tables as the lists have them today; raises Invalid where the lists disagree."""
    day = datetime.now(UTC).date()
    source, rates, windows = first(day)
    table = second()
    kept = capabilities.load(capabilities.FILE)
    models = [model for model in rates if served(model, table, day) and (model in table or model in kept)]
    wrong = [
        found
        for model in models
        if model in table and model not in SETTLED
        for found in disagreements(model, rates[model], second_rates(table[model]))
    ]
    if wrong:
        raise Invalid("the lists disagree:\n  " + "\n  ".join(wrong), hint="see SETTLED in app/cli/pricelists.py")
    rows = [
        rates[model].price(
            model,
            regional=regional(table.get(model, {})),
            batch_share=batch_share(model, table.get(model, {})),
            source=source,
            day=day,
        )
        for model in models
    ]
    return rows, [capability(model, table.get(model, {}), windows[model], kept.get(model)) for model in models]


def _toml(table: str, row: msgspec.Struct, kind: type[msgspec.Struct]) -> str:
    """One row as TOML, without what is its default."""
    bare: Mapping[str, Any] = {item.name: item.default for item in msgspec.structs.fields(kind)}
    values = {name: getattr(row, name) for name in row.__struct_fields__}
    lines = [f"{name} = {_value(value)}" for name, value in values.items() if value != bare[name]]
    return f"\n[[{table}]]\n" + "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else f"{value:_}"
