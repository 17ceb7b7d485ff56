"""What each model takes: the rows of models/capabilities.toml. What a model does not take is dropped, not sent.

It knows no protocol: the adapters ask it and build their requests. A model that no row names is believed to take
little, or what its kind of server takes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from app.core.errors import Invalid
from app.core.words import Sampling

FILE = Path(__file__).resolve().parents[3] / "models" / "capabilities.toml"
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""The words of both vendors for how much a model thinks, from the least."""


class Capability(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model; `model` also stands for its dated snapshots. Counts of 0 are unknown."""

    model: str = ""
    context_tokens: int = 0
    output_tokens_max: int = 0
    cache_tokens_min: int = 0
    """The shortest head that the vendor's cache keeps."""
    sampling: Literal["always", "unthinking", "never"] = "never"
    """Whether it takes temperature, top_p and stops: `unthinking` models take them where they do not think."""
    prefill: bool = False
    """Whether it goes on from a last turn of the assistant."""
    schema: Literal["strict", "tool", "object"] = "strict"
    """How it is held to a JSON Schema: by the vendor, as the arguments of a tool, or as any JSON."""
    forced_tools: bool = True
    """Whether it can be made to call a tool."""
    efforts: tuple[str, ...] = ()
    """The words that it takes for how much to think."""
    effort: str = ""
    """The least of them, sent where nobody asks for more."""
    thinking: str = ""
    """The word that keeps it from thinking, where the vendor has one."""
    thinking_tokens_max: int = 0
    """Room beside the line for a model that cannot be kept from thinking."""

    def effort_of(self, sampling: Sampling) -> str:
        """The effort to send: what was asked for where the model takes it, else the least; empty sends none."""
        return sampling.effort if sampling.effort in self.efforts else self.effort

    def takes_sampling(self, effort: str) -> bool:
        """Whether temperature, top_p and stops may be sent beside this effort."""
        return self.sampling == "always" or (self.sampling == "unthinking" and effort == "none")

    def output_tokens(self, asked: int) -> int:
        """The limit to send for a line of `asked` tokens: with room to think, and no more than the model writes."""
        limit = asked + (self.thinking_tokens_max if asked else 0)
        return min(limit, self.output_tokens_max) if self.output_tokens_max else limit


CAREFUL = Capability()
"""A model of a vendor that no row names: whatever it may refuse is not sent."""
COMPATIBLE = Capability(sampling="always", prefill=True)
"""A model on a compatible server that no row names: such servers run open models, which take what they are given."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    capability: tuple[Capability, ...]


def of(model: str, *, unknown: Capability = CAREFUL) -> Capability:
    """The row of a model or of the model that it is a snapshot of, else `unknown`; raises Invalid for a faulty file."""
    rows = load(FILE)
    name = model.rsplit("/", 1)[-1]
    while name:
        if name in rows:
            return rows[name]
        name, dash, last = name.rpartition("-")
        if not dash or not last.isdigit():
            break
    return unknown


@cache
def load(path: Path) -> Mapping[str, Capability]:
    """The rows of a TOML file by model; raises Invalid naming what is wrong in it."""
    try:
        rows = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).capability
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"cannot read {path.name!r}: {error}", hint="see models/capabilities.toml") from error
    for row in rows:
        wrong = set(row.efforts) - set(EFFORTS) or ({row.effort} - {"", *row.efforts})
        if wrong:
            raise Invalid(f"{path.name!r} gives {row.model!r} the effort {sorted(wrong)[0]!r}", hint=str(EFFORTS))
    return {row.model: row for row in rows}
