"""The line to PostgreSQL: under `sslmode=verify-full` only a server with the right certificate is spoken to."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.core.errors import Invalid, StoreDown
from app.stores import repositories
from app.stores.database import open_database
from app.stores.tenancy import EVERY_TENANT
from tests.certificates import make_certificate
from tests.stores.conftest import MIGRATIONS

SSL_REQUEST = 80877103


@dataclass
class Listener:
    """Speaks the first words of PostgreSQL's protocol, encrypted or not, and keeps what it is then told."""

    port: int = 0
    told: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def listening(folder: Path, *, encrypts: bool) -> AsyncIterator[Listener]:
    certificate, key = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    found = Listener()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            _, code = struct.unpack("!ii", await reader.readexactly(8))
            assert code == SSL_REQUEST
            writer.write(b"S" if encrypts else b"N")
            if encrypts:
                await writer.start_tls(context)
            found.told.append(await reader.read(1_000))
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


async def ask(folder: Path, query: str, port: int, host: str = "127.0.0.1") -> str:
    """Why the database cannot be used; the listener never answers as one."""
    url = f"postgresql://innkeeper:hunter2-planted@{host}:{port}/npc{query}"
    database = open_database(url, folder=folder, migrations=MIGRATIONS)
    with pytest.raises(StoreDown) as failed:
        await database.run(EVERY_TENANT, repositories.world_ids)
    await database.close()
    assert "hunter2" not in failed.value.message
    return failed.value.message


async def test_the_server_is_spoken_to_under_its_own_certificate(tmp_path: Path) -> None:
    async with listening(tmp_path, encrypts=True) as listener:
        await ask(tmp_path, f"?sslmode=verify-full&sslrootcert={tmp_path / 'certificate.pem'}", listener.port)
        assert b"innkeeper" in b"".join(listener.told)


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca"])
async def test_a_stranger_with_another_certificate_hears_nothing(tmp_path: Path, mode: str) -> None:
    (tmp_path / "other").mkdir()
    make_certificate(tmp_path / "other")
    async with listening(tmp_path, encrypts=True) as listener:
        root = tmp_path / "other" / "certificate.pem"
        assert "certificate" in await ask(tmp_path, f"?sslmode={mode}&sslrootcert={root}", listener.port)
        assert "certificate" in await ask(tmp_path, f"?sslmode={mode}", listener.port)
        assert b"".join(listener.told) == b""


async def test_a_certificate_of_another_name_will_not_do(tmp_path: Path) -> None:
    async with listening(tmp_path, encrypts=True) as listener:
        root = tmp_path / "certificate.pem"
        query = f"?sslmode=verify-full&sslrootcert={root}"
        assert "mismatch" in await ask(tmp_path, query, listener.port, host="127.0.0.2")
        assert b"".join(listener.told) == b""


async def test_a_server_that_will_not_encrypt_hears_nothing(tmp_path: Path) -> None:
    async with listening(tmp_path, encrypts=False) as listener:
        await ask(tmp_path, f"?sslmode=verify-full&sslrootcert={tmp_path / 'certificate.pem'}", listener.port)
        assert b"".join(listener.told) == b""


async def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    for query, named in (
        ("?sslmode=prefer", "'prefer'"),
        ("?sslmode=verify-full&sslrootcert=nowhere.pem", "nowhere.pem"),
    ):
        with pytest.raises(Invalid, match=named):
            open_database(f"postgresql://a@127.0.0.1/x{query}", folder=tmp_path, migrations=MIGRATIONS)
