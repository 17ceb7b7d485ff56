"""The bytes of a NumPy archive: a zip of arrays, read without trusting what it claims.

It knows zip directories and array headers; it never unpickles, and allocates only what was checked. Layouts:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html and PKWARE's APPNOTE 6.3.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid

MEMBERS_MAX = 16
DIRECTORY_BYTES_MAX = 8_192
HEADER_BYTES_MAX = 1_024
SIDE_MAX = 16_777_216
"""Items along one axis of any array; what kind of array may have how many is the caller's to say."""

END = b"PK\x05\x06"
END_BYTES = 22
ZIP64 = b"PK\x06\x07"
MAGIC = b"\x93NUMPY"
HEADER = re.compile(
    rb"\{'descr': '(?P<type>[^']{1,32})', 'fortran_order': (?P<columns>True|False), "
    rb"'shape': \((?P<shape>[0-9, ]*)\),? *\} *\n"
)
BROKEN = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, KeyError,
    OverflowError, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What zipfile raises, by what is wrong with an archive."""


class Kind(NamedTuple):
    """What an array may be: the types in words, their codes, and the numbers of axes."""

    words: str
    types: tuple[str, ...]
    axes: tuple[int, ...]


class Header(NamedTuple):
    """What an array claims to be."""

    type: str
    columns_first: bool
    shape: tuple[int, ...]
    offset: int
    """Where the values begin in the member."""


class Archive:
    """The arrays of a file, by name; nothing is inflated before its size is known to be allowed."""

    def __init__(self, data: bytes) -> None:
        _check_directory(data)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except BROKEN as error:
            raise Invalid(f"the map is no NumPy archive: {error}", hint=HINT) from error
        infos = self._zip.infolist()
        self.names = tuple(info.filename.removesuffix(".npy") for info in infos)
        self._infos = dict(zip(self.names, infos, strict=True))
        for name, info in zip(self.names, infos, strict=True):
            if not info.filename.endswith(".npy") or self._infos[name] is not info:
                raise Invalid(f"the archive has a member {info.filename!r}", hint="expected arrays, each once")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
                raise Invalid(f"the array {name!r} is packed in an unknown way", hint="use np.savez_compressed")

    def shape(self, name: str, kind: Kind) -> tuple[int, ...]:
        """The shape that an array claims; raises Invalid when it is of another kind."""
        return self._header(name, kind).shape

    def read(self, name: str, kind: Kind, *, items_max: int | None = None) -> NDArray[Any] | None:
        """An array, or None where the archive has none of that name; the caller checked its shape or says `items_max`.

        Raises Invalid when it is of another kind, larger, or not as long as it claims.
        """
        if name not in self._infos:
            return None
        header = self._header(name, kind)
        items = math.prod(header.shape)
        if items_max is not None and items > items_max:
            raise Invalid(f"{name} has {items!r} items", hint=f"expected at most {items_max}")
        dtype = np.dtype(header.type)
        values = self._bytes(name, header.offset + items * dtype.itemsize + 1)[header.offset :]
        if len(values) != items * dtype.itemsize:
            found = "more" if len(values) > items * dtype.itemsize else f"{len(values)!r} bytes"
            raise Invalid(
                f"{name} of shape {header.shape!r} has {found}", hint=f"expected {items * dtype.itemsize} bytes"
            )
        flat = np.frombuffer(values, dtype).astype(dtype.newbyteorder("="), copy=False)
        return flat.reshape(header.shape[::-1]).T if header.columns_first else flat.reshape(header.shape)

    def _header(self, name: str, kind: Kind) -> Header:
        start = self._bytes(name, HEADER_BYTES_MAX)
        width = 2 if start[6:7] == b"\x01" else 4
        if start[:6] != MAGIC or start[6:8] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
            raise Invalid(f"{name} is no NumPy array", hint=HINT)
        length = int.from_bytes(start[8 : 8 + width], "little")
        match = HEADER.fullmatch(start[8 + width : 8 + width + length])
        if match is None:
            raise Invalid(f"{name} has no header of a plain array", hint=HINT)
        shape = tuple(int(side) for side in match["shape"].replace(b" ", b"").split(b",") if side)
        code = match["type"].decode("ascii", "replace")
        if code not in kind.types:
            raise Invalid(f"{name} is of type {code!r}", hint=f"expected {kind.words}")
        if len(shape) not in kind.axes or max(shape, default=0) > SIDE_MAX:
            axes = " or ".join(str(count) for count in kind.axes)
            raise Invalid(f"{name} is of shape {shape!r}", hint=f"expected {axes} axes, each up to {SIDE_MAX}")
        return Header(code, match["columns"] == b"True", shape, 8 + width + length)

    def _bytes(self, name: str, most: int) -> bytes:
        """The first bytes of a member."""
        try:
            with self._zip.open(self._infos[name]) as member:
                return member.read(most)
        except BROKEN as error:
            raise Invalid(f"the array {name!r} cannot be read: {error}", hint=HINT) from error


HINT = "write it with np.savez_compressed, without objects"


def _check_directory(data: bytes) -> None:
    """Raise Invalid unless the file ends as np.savez ends it, with a directory of few members."""
    end = data[-END_BYTES:]
    if len(end) < END_BYTES or end[:4] != END or ZIP64 in data[-END_BYTES - 20 : -END_BYTES]:
        raise Invalid("the map is no NumPy archive", hint=HINT)
    members, directory_bytes = struct.unpack("<HI", end[10:16])
    if members > MEMBERS_MAX or directory_bytes > DIRECTORY_BYTES_MAX:
        raise Invalid(f"the archive has {members!r} members", hint=f"expected at most {MEMBERS_MAX} arrays")
