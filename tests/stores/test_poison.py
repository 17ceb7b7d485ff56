"""Texts that a database may not take: they reach no table, or come back as they were, and later writes go on."""

from __future__ import annotations

import asyncio

import pytest

from app.cli.prove.contract.naughty import STRINGS
from app.core.errors import Invalid
from app.world.entities import Npc
from app.world.events import EntityUpserted
from tests.stores.conftest import Opener


async def test_row_19_a_poisonous_key_or_text_stops_no_later_write(opened: Opener) -> None:
    async with opened() as store:
        await store.journal.create_world("t", "w")
        for number, text in enumerate(STRINGS):
            change = EntityUpserted(entity=Npc(id=f"n{number}", name=text))
            async with asyncio.timeout(10):
                if "\0" in text:
                    with pytest.raises(Invalid, match="NUL"):
                        await store.journal.append("t", "w", [change], key=text[:128])
                else:
                    await store.journal.append("t", "w", [change], key=text[:128])
        async with asyncio.timeout(10):
            await store.journal.append("t", "w", [EntityUpserted(entity=Npc(id="last", name="a\0b"))])
        assert store.writer.fault == ""
    async with opened() as store:
        assert store.world().npc("last").name == "a\0b"
