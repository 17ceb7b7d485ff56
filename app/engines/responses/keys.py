"""What makes two requests the same: the normalized input, the key, and the tags that a purge reaches.

Pure. It knows no cache, no clock and no vector.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import NamedTuple

import msgspec

from app.core.words import Completion, Keep

PLAYER = "player:"
"""Begins the tag of a person. A person is a tenant's, so these are of no world; all others are of the request's."""
EVERYTHING = ""
"""The tag of all lines of a tenant, in the process."""
_encoder = msgspec.msgpack.Encoder(order="deterministic")
_ENDS = " .!…。！"
"""What a text may end on and mean the same; a question mark is not among them."""
_QUOTED = re.compile(r"[\"“”„«»「」]")
_TELLING = ("<super>", "<sub>", "<fraction>", "<circle>")
"""Compatibility forms of Unicode that say something: 2⁵ is not 25."""


class Asked(NamedTuple):
    """A request as the cache knows it."""

    exact: str
    """SHA-256 over all that identifies it, in hexadecimal."""
    hard: str
    """The same without the input."""
    said: str
    """The normalized input."""
    tags: tuple[str, ...]
    variants: bool
    """Whether there may be more than one line: speech may vary, data and another program's conversation may not."""


def asked(completion: Completion, keep: Keep, settings_version: int) -> Asked:
    """The request's identity. `settings_version` is of what the tenant has set for itself."""
    said = normalized(keep.said)
    scope = completion.world if keep.state or keep.scene else ""
    identity = (
        completion.tenant,
        settings_version,
        completion.task,
        completion.prompt,
        completion.variant,
        completion.prefer,
        keep.persona,
        scope,
        sorted(keep.state),
        keep.scene,
        keep.rating,
        keep.language,
        completion.output_tokens_max,
        completion.sampling,
        completion.schema,
        completion.tools,
        completion.tool_choice,
        completion.turns,
    )
    hard = hashlib.sha256(_encoder.encode(identity))
    hard_key = hard.hexdigest()
    hard.update(said.encode("utf-8", "surrogatepass"))
    settled = completion.turns or completion.schema is not None or completion.tools
    return Asked(
        exact=hard.hexdigest(),
        hard=hard_key,
        said=said,
        tags=_tags(completion, keep),
        variants=not settled and completion.sampling.temperature != 0.0,
    )


def scoped(world: str, tag: str) -> str:
    """The tag as the cache knows it: a person is the tenant's, everything else is of one world."""
    return tag if tag.startswith(PLAYER) else f"{world}\x1f{tag}"


def _tags(completion: Completion, keep: Keep) -> tuple[str, ...]:
    """What a purge of any of forgets the line; whom it was said to is always among them."""
    tags = [scoped(completion.world, tag) for tag in keep.state]
    if completion.player:
        tags.append(PLAYER + completion.player)
    return tuple(dict.fromkeys(tags))


def normalized(text: str) -> str:
    """The text in one form for all ways to type it (Unicode NFKC, case, white space, its last full stops).

    What changes the meaning stays: question marks, raised and lowered figures, fractions, and the case of a text that
    quotes something, such as a password. Applied twice it changes nothing more.
    """
    if not text.isascii():
        telling = any(unicodedata.decomposition(sign).startswith(_TELLING) for sign in text)
        text = unicodedata.normalize("NFC" if telling else "NFKC", text)
    plain = " ".join(text.split())
    if not _QUOTED.search(plain):
        plain = plain.casefold()
        if not plain.isascii():
            plain = unicodedata.normalize("NFC", plain)
    return plain.rstrip(_ENDS) or plain
