"""Reading and verifying a tenant's audit trail, a page at a time, beside a server that goes on writing it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.core.chain import Chains, Checkpoint, Entry, Verdict, Verifier
from app.core.errors import Invalid

PAGE_ENTRIES = 2_000
SEQ_MAX = 2**63 - 1
_lines = msgspec.json.Decoder(Checkpoint)


async def verify(
    chains: Chains,
    tenant: str,
    *,
    exported: Sequence[Checkpoint] = (),
    told: Callable[[int], None] = lambda _entries: None,
) -> Verdict:
    """The verdict on the chain as it stands now; `told` hears how many entries each step took. Raises StoreDown.

    A chain whose oldest entries are cut meanwhile is looked at once more.
    """
    verdict, marks = await _verify(chains, tenant, exported, told)
    if verdict.fault is not None and (await chains.marks(tenant))[1] != marks:
        verdict, _ = await _verify(chains, tenant, exported, told)
    return verdict


async def _verify(
    chains: Chains, tenant: str, exported: Sequence[Checkpoint], told: Callable[[int], None]
) -> tuple[Verdict, Sequence[Checkpoint]]:
    head_seq, marks = await chains.marks(tenant)
    verifier = chains.verifier(tenant, [*marks, *exported])
    at, until_seq = 0, head_seq
    while True:
        page = await chains.page(tenant, at, entries_max=PAGE_ENTRIES, until_seq=until_seq)
        if page:
            await asyncio.to_thread(_feed, verifier, page)
            told(len(page))
            at = page[-1].seq
            continue
        if until_seq == SEQ_MAX or not await chains.page(tenant, at, entries_max=1, until_seq=SEQ_MAX):
            return verifier.finish(head_seq=head_seq), marks
        # There are more: written meanwhile, or put there by somebody whom the head does not know.
        now_seq = (await chains.marks(tenant))[0]
        head_seq, until_seq = now_seq, now_seq if now_seq > head_seq else SEQ_MAX


def _feed(verifier: Verifier, page: Sequence[Entry]) -> None:
    for entry in page:
        verifier.feed(entry)


def shown(entry: Entry) -> dict[str, Any]:
    """An entry as people and programs read it: details as an object, the hash in hexadecimal."""
    fields = msgspec.structs.asdict(entry)
    return {**fields, "details": msgspec.json.decode(entry.details), "hash": entry.hash.hex()}


def read_checkpoints(path: Path) -> list[Checkpoint]:
    """The checkpoints of an export, one JSON object a line; raises Invalid."""
    try:
        return [_lines.decode(line) for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise Invalid(f"{str(path)!r} cannot be read: {error.strerror}", hint="check the path") from error
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"{str(path)!r} holds no checkpoints: {error}", hint="give the file of audit.checkpoint_file"
        ) from error
