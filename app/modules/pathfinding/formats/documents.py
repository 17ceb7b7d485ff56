"""JSON files: decoding within bounds, and refusals that name the line and column or the path.

It knows JSON; it does not know what any field means. Long arrays stay raw bytes until they were counted.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.modules.pathfinding.formats.limits import check_count, wrong

T = TypeVar("T")

OBJECTS_MAX = 262_144
"""JSON objects in one file, each of which takes some hundred bytes once it is read."""

ARRAYS_MAX = 1_048_576
"""JSON arrays in one file."""

PLACE = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?", re.DOTALL)
BYTE = re.compile(r"JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)")
UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)

WHOLE = b"0123456789, \n\r\t"
REAL = WHOLE + b"+-.eE"

NUMBERS = msgspec.json.Decoder(list[float])
INTEGERS = msgspec.json.Decoder(list[int])


def decode(decoder: msgspec.json.Decoder[T], data: bytes, fields: tuple[str, ...] = ()) -> T:
    """A whole file as the decoder's type; `fields` are the names that an unknown one may have meant.

    Raises Invalid naming the line and column of malformed JSON, or the path of a value of the wrong type.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    check_count("its objects", data.count(b"{"), OBJECTS_MAX)
    check_count("its arrays", data.count(b"["), ARRAYS_MAX)
    return _decode(decoder, data, "", fields)


def part(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, path: str) -> T:
    """One value of a file that was left raw, at `path`; raises Invalid."""
    return _decode(decoder, bytes(raw), path, ())


def integers(raw: msgspec.Raw, path: str, most: int) -> NDArray[np.int64]:
    """A flat array of integers, counted before it is read, (n,) int64; raises Invalid naming the path.

    Integers past 64 bits become the greatest or least there is; what range is allowed is the caller's to say.
    """
    text = bytes(raw)
    if not text:
        return np.empty(0, np.int64)
    check_count(path, text.count(b",") + 1, most)
    if text.translate(None, WHOLE + b"-") != b"[]":
        _decode(INTEGERS, text, path, ())
        raise wrong(path, "this is no array of whole numbers", "expected whole numbers without a fraction or exponent")
    return np.fromstring(text.strip()[1:-1].decode(), np.int64, sep=",")


def reals(raw: msgspec.Raw, path: str, most: int) -> NDArray[np.float64]:
    """A flat array of numbers, counted before it is read, (n,) float64; raises Invalid naming the path."""
    text = bytes(raw)
    if not text:
        return np.empty(0, np.float64)
    check_count(path, text.count(b",") + 1, most)
    if text.translate(None, REAL) != b"[]":
        _decode(NUMBERS, text, path, ())
        raise wrong(path, "this is no array of numbers", "expected numbers alone")
    return np.fromstring(text.strip()[1:-1].decode(), np.float64, sep=",")


def line_and_column(data: bytes, byte: int) -> tuple[int, int]:
    """Where a byte stands in a text, both from 1; columns count characters."""
    before = data[:byte]
    line = before.count(b"\n") + 1
    return line, len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1


def _decode(decoder: msgspec.json.Decoder[T], data: bytes, path: str, fields: tuple[str, ...]) -> T:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        match = PLACE.fullmatch(str(error))
        found, what = (match["path"] or "", match["what"]) if match else ("", str(error))
        place = path + found if path else found.removeprefix(".")
        raise _mistyped(place, what, fields) from error
    except msgspec.DecodeError as error:
        raise _malformed(data, path, str(error)) from error
    except UnicodeDecodeError as error:
        raise wrong(path or "the file", "text that is not UTF-8", "save the file as UTF-8") from error
    except RecursionError as error:
        raise wrong(path or "the file", "arrays or objects nested too deeply", "expected a plain file") from error


def _mistyped(place: str, what: str, fields: tuple[str, ...]) -> Invalid:
    unknown = UNKNOWN.fullmatch(what)
    hint = nearest(unknown["name"], fields) if unknown and fields else "see the format's page for what belongs there"
    return wrong(place or "its top", what[:1].lower() + what[1:], hint)


def _malformed(data: bytes, path: str, said: str) -> Invalid:
    match = BYTE.fullmatch(said)
    what, byte = (match["what"], int(match["byte"])) if match else ("the file ends here", len(data))
    line, column = line_and_column(data, byte)
    place = f"line {line}, column {column}" + (f" of {path}" if path else "")
    return wrong(place, what, "expected JSON (RFC 8259)")
