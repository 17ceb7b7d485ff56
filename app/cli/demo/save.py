"""What the game keeps on disk between two runs: bodies, books and the map; the world itself is the server's.

One file, replaced as a whole, so that a power cut leaves the old one or the new one.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np

from app.cli.demo.folk import Seat
from app.core.errors import Invalid
from app.learning.envs.village import Village
from app.world.state import State

FILE = "village.save"


class Table(msgspec.Struct, frozen=True):
    """One array."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class Save(msgspec.Struct, frozen=True, kw_only=True):
    """A village between two runs. `map_text` is empty for the map that the seed draws."""

    seed: int
    npcs: int
    map_text: str
    seats: list[Seat]
    arrays: dict[str, Table]
    days: int
    newcomers: int
    state: State
    origins: dict[str, str]
    """Item -> who or what held it at first."""
    newest_seq: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Save)


def pack(village: Village) -> dict[str, Table]:
    """The arrays of a village, by name."""
    return {name: Table(str(array.dtype), array.shape, array.tobytes()) for name, array in village._asdict().items()}


def unpack(arrays: dict[str, Table]) -> Village:
    """The village of those arrays, writable."""
    return Village(
        **{name: np.frombuffer(table.data, table.dtype).reshape(table.shape).copy() for name, table in arrays.items()}
    )


def encode(save: Save) -> bytes:
    """The file's content."""
    return _encoder.encode(save)


def store(folder: Path, body: bytes) -> None:
    """Write the file, whole or not at all; blocks until it is on disk."""
    path, fresh = folder / FILE, folder / f"{FILE}.new"
    with fresh.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(folder: Path) -> Save | None:
    """The saved village, or None; raises Invalid when the file is of another version."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return _decoder.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise Invalid(f"{str(path)!r} cannot be read: {error}", hint="begin anew with --fresh") from error
