"""The tile numbers of Tiled's layers and chunks, unpacked within bounds.

It knows the encodings (an array, base64, zlib, gzip); it does not know what a tile is.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.formats import documents
from app.modules.pathfinding.formats.limits import check_count, wrong

U32 = NDArray[np.uint32]

FLIPS = 0xF000_0000
"""Bits that turn or mirror a tile, which changes nothing here."""

WINDOW = {"zlib": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}
TEXT = msgspec.json.Decoder(str)
Place = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
Side = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class Area(NamedTuple):
    """What a map covers, in tiles."""

    x: int
    y: int
    width: int
    height: int


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A rectangle of tiles."""

    x: Place
    y: Place
    width: Side
    height: Side
    data: msgspec.Raw


class Stored(NamedTuple):
    """A layer's tile numbers, (height, width), and where they came from."""

    gids: U32
    path: str
    chunks: tuple[Chunk, ...]
    paths: tuple[str, ...]

    def place(self, x: int, y: int, area: Area) -> str:
        """The JSON path of a cell's number; later chunks cover earlier ones."""
        for chunk, path in zip(reversed(self.chunks), reversed(self.paths), strict=True):
            column, row = x + area.x - chunk.x, y + area.y - chunk.y
            if 0 <= column < chunk.width and 0 <= row < chunk.height:
                return f"{path}[{row * chunk.width + column}]"
        return self.path


def fill(chunks: list[Chunk], paths: list[str], packed: tuple[str, str], area: Area) -> U32:
    """The tile numbers of a layer, (height, width) uint32, flips masked; `area` was checked against the limits.

    Raises Invalid naming the path of a chunk that is not what it says.
    """
    gids = np.zeros((area.height, area.width), np.uint32)
    check_count("the tiles of a layer's chunks", sum(chunk.width * chunk.height for chunk in chunks), 2 * gids.size)
    for chunk, path in zip(chunks, paths, strict=True):
        x, y = chunk.x - area.x, chunk.y - area.y
        if x < 0 or y < 0 or x + chunk.width > area.width or y + chunk.height > area.height:
            raise wrong(path, f"{chunk.width!r} x {chunk.height!r} tiles", f"the map has {area.width} x {area.height}")
        values = _numbers(chunk.data, path, packed, chunk.width * chunk.height)
        gids[y : y + chunk.height, x : x + chunk.width] = values.reshape(chunk.height, chunk.width)
    return gids


def _numbers(data: msgspec.Raw, path: str, packed: tuple[str, str], count: int) -> U32:
    """The tile numbers of one array or text, (count,)."""
    encoding, compression = packed
    if encoding == "base64":
        return _unpacked(data, path, compression, count)
    if encoding != "csv":
        raise wrong(path, f"the encoding {encoding!r}", "export with CSV or Base64")
    values = documents.integers(data, path, count)
    if len(values) != count:
        raise wrong(path, f"{len(values)!r} tiles", f"expected {count}")
    odd = (values < 0) | (values >= 2**32)
    if odd.any():
        at = int(odd.argmax())
        raise wrong(f"{path}[{at}]", f"the tile number {int(values[at])!r}", "expected 0 to 4294967295")
    return (values & ~FLIPS).astype(np.uint32)


def _unpacked(data: msgspec.Raw, path: str, compression: str, count: int) -> U32:
    """The tile numbers of a base64 text, (count,): little-endian uint32, four bytes each."""
    if compression and compression not in WINDOW:
        raise wrong(path, f"the compression {compression!r}", "choose zlib, gzip, none or CSV in the map's properties")
    try:
        values = base64.b64decode(documents.part(TEXT, data, path), validate=True)
        if compression:
            inflater = zlib.decompressobj(WINDOW[compression])
            values = inflater.decompress(values, 4 * count + 1)  # never more than what was claimed, and a byte
    except (binascii.Error, zlib.error, ValueError) as error:
        what = f"base64 {compression}".strip()
        raise wrong(path, f"this is no {what}: {error}", "export the map again") from error
    if len(values) != 4 * count:
        more = "more" if len(values) > 4 * count else f"{len(values)!r}"
        raise wrong(path, f"{more} bytes", f"expected {4 * count} for {count} tiles")
    return np.frombuffer(values, "<u4").astype(np.uint32) & np.uint32(~FLIPS & 0xFFFF_FFFF)
