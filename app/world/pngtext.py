"""The texts that a PNG image carries beside its picture (PNG specification, third edition, 11.3.3).

Pure. It reads `tEXt`, `zTXt` and `iTXt` chunks under bounds and never looks at the picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from app.core.errors import Invalid, TooLarge

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNKS_MAX = 10_000
HEAD_BYTES = 8
CRC_BYTES = 4


def texts(data: bytes, wanted: tuple[str, ...], *, text_bytes_max: int) -> dict[str, bytes]:
    """Keyword -> text of the first chunk of each wanted keyword, keywords in small letters.

    Raises Invalid for bytes that are no whole PNG, TooLarge for a text longer than `text_bytes_max` once it is
    unpacked, or for more chunks than any picture has.
    """
    found: dict[str, bytes] = {}
    for kind, body in _chunks(data):
        if kind not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        name, _, rest = body.partition(b"\x00")
        keyword = name.decode("latin-1").lower()
        if keyword in wanted and keyword not in found:
            found[keyword] = _text(kind, keyword, rest, text_bytes_max)
    return found


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, body) of each chunk up to the end of the image."""
    if not data.startswith(SIGNATURE):
        raise Invalid("the file is no PNG", hint="give a card as JSON or as a PNG that carries one")
    at = len(SIGNATURE)
    for _ in range(CHUNKS_MAX):
        size = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + HEAD_BYTES]
        end = at + HEAD_BYTES + size
        if len(data) < end + CRC_BYTES:
            raise Invalid(f"the PNG ends within a chunk at byte {at}", hint="the file was cut; fetch it again")
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + CRC_BYTES], "big"):
            raise Invalid(f"the checksum of the chunk {kind!r} at byte {at} is wrong", hint="fetch the file again")
        if kind == b"IEND":
            return
        yield kind, data[at + HEAD_BYTES : end]
        at = end + CRC_BYTES
    raise TooLarge(f"the PNG has more than {CHUNKS_MAX} chunks", hint="no card needs as many")


def _text(kind: bytes, keyword: str, rest: bytes, most: int) -> bytes:
    """What a chunk says after its keyword."""
    packed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = _after(rest, 1, keyword)
    elif kind == b"iTXt":
        packed = rest[:1] == b"\x01"
        rest = _after(rest, 2, keyword).partition(b"\x00")[2].partition(b"\x00")[2]
    if packed:
        rest = _unpacked(rest, keyword, most)
    if len(rest) > most:
        raise TooLarge(f"the text {keyword!r} of the PNG is over {most} bytes", hint="no card is as large")
    return rest


def _after(rest: bytes, head: int, keyword: str) -> bytes:
    """What follows the method byte, which must name deflate."""
    if len(rest) < head or rest[head - 1] != 0:
        raise Invalid(f"the text {keyword!r} is packed in an unknown way", hint="export the card again")
    return rest[head:]


def _unpacked(data: bytes, keyword: str, most: int) -> bytes:
    unpack = zlib.decompressobj()
    try:
        plain = unpack.decompress(data, most + 1)
    except zlib.error as error:
        raise Invalid(f"the packed text {keyword!r} is broken: {error}", hint="fetch the file again") from error
    if len(plain) > most:
        raise TooLarge(f"the packed text {keyword!r} is over {most} bytes", hint="no card is as large")
    if not unpack.eof:
        raise Invalid(f"the packed text {keyword!r} ends too soon", hint="fetch the file again")
    return plain
