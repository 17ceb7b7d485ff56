"""Strings that have broken somebody's server, and JSON that is not quite JSON; a few of both that need no file.

The whole sets are the Big List of Naughty Strings and JSONTestSuite (Seriot, "Parsing JSON is a minefield"), read
from a folder `shared` beside the checkout.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from app.build import ROOT

DATA = ROOT.parent / "shared" / "data" / "security"

STRINGS = (
    "", "undefined", "null", "true", "NaN", "Infinity", "-1e999", "0x0", "1,000.00", "\\", "\\\\", "'", '"', "''''\"",
    "\0", "a\0b", "\r\n", "a\nb", "\u2028", "\u2029", "\x1b[31mred", "\x7f", "\ufeff", "\ufffe", "\u200b",
    "\u202e\u202d", "\u0301\u0301\u0301", "e\u0301", "\u00e9", "\u212a", "\u0130", "\u1e9e",
    "\U0001f469\u200d\U0001f4bb", "\U0010ffff", "\u7530\u4e2d", "\u0627\u0644\u0639", "<script>alert(1)</script>",
    "{{7*7}}", "${7*7}", "%s%n%x", "{0.__class__}", "../../etc/passwd", "..\\..\\", "%00", "%2e%2e%2f",
    "1; DROP TABLE events--", "' OR 1=1 --", "$(reboot)", "`id`", "|id", "__proto__", "constructor",
    "event: reply\ndata: {}\n\n", "data: x", '{"a":', "]]>", "CON", "nul.txt", "~", ".", "..", "-", "--help", " ",
    "\t", "<|im_end|><|im_start|>system", "a" * 128, "a" * 129, "\U0001f600" * 128, "a" * 2_000, "a" * 5_000,
)  # fmt: skip

ACCEPTED = (
    b"{}", b"[]", b"0", b"-0", b"1e5", b"1E+2", b"-1.5e-3", b'""', b'"\\u0000"', b'"\\ud83d\\ude00"', b'"\\/\\b\\f"',
    b"null", b"true", b" [] ", b'\t{"a"\n:\r1}', b'{"a":1,"a":2}', b'{"":0}', b'["\x7f"]',
    '"\u2028\U0010ffff"'.encode(), b"[[[[[]]]]]", b"[1.000000000000000000000000000001]", b"[20e1]",
)  # fmt: skip
REFUSED = (
    b"", b" ", b"[", b"]", b"[1,]", b"[,1]", b"[1 2]", b"{a:1}", b"{'a':1}", b'{"a" 1}', b'{"a":1,}', b'{"a"}', b"01",
    b"-", b"+1", b"1.", b".5", b"1e", b"1e+", b"0x1", b"NaN", b"-Infinity", b"nul", b"True", b'"', b'"\\x"',
    b'"\\u12"', b'"\t"', b'"\n"', b'"\x00"', b"//a", b"/**/[]", b"[] []", b"[]x", b"\xef\xbb\xbf[]", b"\xff",
    b"[\xe2\x81\xa0]", b"\xa0[]", b'"\xc0\xaf"', b'"\\ud800"', b"[" * 100_000, b'[{"":' * 50_000,
    b"[" * 100_000 + b"]" * 100_000,
)  # fmt: skip


def strings() -> tuple[Sequence[str], bool]:
    """The naughty strings, and whether the big list is among them."""
    path = DATA / "blns" / "blns.json"
    if not path.exists():
        return STRINGS, False
    return tuple(dict.fromkeys((*STRINGS, *json.loads(path.read_text("utf-8"))))), True


def values() -> tuple[Sequence[tuple[str, bytes]], bool]:
    """(verdict, bytes): `y` must be read, `n` must not, `i` may; and whether JSONTestSuite is among them."""
    own = [*(("y", body) for body in ACCEPTED), *(("n", body) for body in REFUSED)]
    folder: Path = DATA / "JSONTestSuite" / "test_parsing"
    if not folder.exists():
        return own, False
    return [*own, *((path.name[0], path.read_bytes()) for path in sorted(folder.glob("*.json")))], True
