"""An author's rule over all brains, as it stands in files, on the wire and in the world's log. It decides nothing."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.modules.behavior.schema import Curve
from app.world.entities import Id, Name


class SteeringRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an author wants of all brains: where `when` holds, an intent is worth `bonus` more, or is vetoed.

    `roles` empty means everyone. `bonus` is in utilities and multiplies the odds of the intent by exp(8 x bonus),
    whichever brain scores; it counts in the measure of the product of the curves. `veto` takes the intent away
    where that product is over 0.5 and something else is allowed.
    """

    name: Id
    intent: Name
    roles: Annotated[tuple[Name, ...], msgspec.Meta(max_length=32)] = ()
    when: Annotated[tuple[Curve, ...], msgspec.Meta(max_length=16)] = ()
    bonus: Annotated[float, msgspec.Meta(ge=-4.0, le=4.0)] = 0.0
    veto: bool = False
