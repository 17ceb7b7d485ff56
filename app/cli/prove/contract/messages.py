"""Messages of our own protocol that are wrong in one way each, with the code of the close or of the error."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from app.cli.prove.contract.frames import SAID, Case, ask, binary, text

DEEP = 100_000


def hello(token: str, **members: object) -> bytes:
    """The first frame, as JSON text."""
    return text(json.dumps({"id": "h", "op": "hello", "data": {"token": token, **members}}).encode())


def greetings(token: str) -> Iterator[Case]:
    """What comes in place of hello; the socket closes after the error."""
    yield Case("a request before hello", text(ask()), 4400)
    yield Case("nothing", text(b""), 4400)
    yield Case("no JSON", text(b"hello"), 4400)
    yield Case("binary that is no msgpack", binary(b"\xc1"), 4400)
    yield Case("an array", text(b"[]"), 4400)
    yield Case("no token", text(b'{"id":"h","op":"hello","data":{}}'), 4400)
    yield Case("no data", text(b'{"id":"h","op":"hello"}'), 4400)
    yield Case("an empty token", hello(""), 4401)
    yield Case("a token that does not hold", hello("ik_00000000_" + "a" * 43), 4401)
    yield Case("a token of 64 KiB", hello("a" * 65_536), 4401)
    yield Case("a token with NUL", hello(token + "\0"), 4401)
    yield Case("a token with a space", hello(" " + token), 4401)
    yield Case("a token that is a number", text(b'{"id":"h","op":"hello","data":{"token":1}}'), 4400)
    yield Case("a world with NUL", hello(token, world="a\0b"), 4400)
    yield Case("protocol 0", hello(token, protocol=0), 4400)
    yield Case("protocol 2", hello(token, protocol=2), 4400)
    yield Case("protocol 2^70", hello(token, protocol=1 << 70), 4400)
    yield Case("another format", hello(token, format="xml"), 4400)
    yield Case("frames of 0 bytes", hello(token, frame_bytes_max=0), 4400)
    yield Case("an unknown member", hello(token, admin=True), 4400)
    yield Case("a resume that nobody knows", hello(token, resume="a" * 1_000), SAID)
    yield Case("pending of a wrong type", hello(token, pending=[1]), 4400)


def requests(token: str) -> Iterator[Case]:
    """What comes after a good hello, and the code of the answer."""
    yield Case("hello again", hello(token), "unknown_op")
    yield Case("an unknown op", text(ask(op="world.nothing")), "unknown_op")
    yield Case("an op of 10,000 characters", text(ask(op="a" * 10_000)), "unknown_op")
    yield Case("an op with NUL", text(ask(op="world.describe\0")), "unknown_op")
    yield Case("an empty op", text(ask(op="")), "unknown_op")
    yield Case("an op that is a number", text(ask(op=1)), "invalid")
    yield Case("no op", text(b'{"id":"a"}'), "invalid")
    for name, id in (("a number", 1), ("nothing", None), ("true", True), ("a list", ["a"]), ("a map", {})):
        yield Case(f"an id that is {name}", text(ask(id)), "invalid")
    yield Case("no id", text(b'{"op":"world.describe"}'), "invalid")
    yield Case("an id of 100,000 characters", text(ask("a" * 100_000)), "invalid")
    yield Case("an empty id", text(ask("")), SAID)
    for limit in (0, -1, -(1 << 63)):
        yield Case(f"a deadline of {limit}", text(ask(deadline_ms=limit)), "invalid")
    yield Case("a deadline of 2^62", text(ask(deadline_ms=1 << 62)), SAID)
    yield Case("a deadline of 2^64", text(ask(deadline_ms=1 << 64)), "invalid")
    yield Case("a deadline of 1e308", text(b'{"id":"a","op":"world.describe","deadline_ms":1e308}'), "invalid")
    yield Case("a deadline in words", text(ask(deadline_ms="5")), "invalid")
    yield Case("half a deadline", text(ask(deadline_ms=1.5)), "invalid")
    for name, data in (("a list", []), ("a text", "x"), ("a number", 1), ("nothing", None), ("true", True)):
        yield Case(f"data that is {name}", text(ask(data=data)), "invalid")
    yield Case("an unknown member", text(ask(admin=True)), "invalid")
    yield Case("an unknown member of data", text(ask(data={"world": "w", "tenant": "b"})), "invalid")
    yield Case("a world of 10,000 characters", text(ask(data={"world": "a" * 10_000})), "invalid")
    yield Case("a world with NUL", text(ask(data={"world": "a\0b"})), "invalid")
    yield Case("cancel of nothing", text(ask(op="cancel", data={"id": "b"})), "invalid")
    yield Case("cancel without an id", text(ask(op="cancel", data={})), "invalid")
    yield Case("refresh with nothing", text(ask(op="refresh", data={})), "unauthenticated")
    yield Case("refresh with a number", text(ask(op="refresh", data={"token": 1})), "invalid")
    yield Case(
        "refresh with a token that does not hold", text(ask(op="refresh", data={"token": "a"})), "unauthenticated"
    )
    yield Case("three frames that cannot be read", text(b"{") * 3, 4400)
    yield Case("an id twice in flight", text(ask(op="world.event", data=_EVENT)) * 2, "conflict")
    yield from _json()
    yield from _packed()


_EVENT = {"world": "w", "events": [{"verb": "talked", "actor": "a"}]}


def _json() -> Iterator[Case]:
    for name, body in (
        ("nothing", b""), ("a space", b" "), ("half an object", b'{"id":'), ("two objects", ask() + ask()),
        ("a byte order mark", b"\xef\xbb\xbf" + ask()), ("NaN", b'{"id":"a","op":"world.describe","deadline_ms":NaN}'),
        ("a lone surrogate", b'{"id":"\\ud800","op":"world.describe"}'), ("a raw NUL", b'{"id":"\x00","op":"x"}'),
        ("single quotes", b"{'id':'a'}"), ("a comment", b"/**/" + ask()), ("a comma too many", b'{"id":"a",}'),
        ("a number with a leading zero", b'{"id":"a","op":"world.describe","deadline_ms":01}'),
        ("open brackets in data", b'{"id":"a","op":"world.describe","data":' + b"[" * DEEP),
    ):  # fmt: skip
        yield Case(f"JSON: {name}", text(body), "malformed")
    yield Case("JSON: open brackets", text(b"[" * DEEP), "malformed")
    yield Case("JSON: open braces", text(b'{"a":' * DEEP), "malformed")
    deep = b'{"id":"a","op":"world.describe","data":{"x":' + b"[" * DEEP + b"]" * DEEP + b"}}"
    yield Case("JSON: 100,000 levels, closed", text(deep), "malformed")
    yield Case("JSON: an op twice", text(b'{"id":"a","op":"hello","op":"world.nothing"}'), "unknown_op")


def _packed() -> Iterator[Case]:
    pack = msgspec.msgpack.encode
    whole = pack({"id": "a", "op": "world.describe", "data": {"world": "w"}})
    open_data = pack({"id": "a", "op": "world.describe", "data": 0})[:-1]
    yield Case("msgpack in a session of JSON", binary(whole), SAID)
    for name, body in (
        ("nothing", b""), ("half a map", whole[:-3]), ("more after the end", whole + b"\xc0"), ("no code", b"\xc1"),
        ("a map that claims 2^32 - 1", b"\xdf\xff\xff\xff\xff"),
        ("a text that claims 2^32 - 1", b"\xdb\xff\xff\xff\xff"),
        ("bytes that claim 2^32 - 1", b"\xc6\xff\xff\xff\xff"),
        ("an extension that claims 2^32 - 1", b"\xc9\xff\xff\xff\xff\x01"),
        ("open lists in data", open_data + b"\x91" * DEEP),
        ("an id that is no UTF-8", whole.replace(b"\xa1a", b"\xa1\xff", 1)),
        ("data that claims 2^32 - 1", open_data + b"\xdd\xff\xff\xff\xff"),
    ):  # fmt: skip
        yield Case(f"msgpack: {name}", binary(body), "malformed")
    for name, value in (
        ("an extension", msgspec.msgpack.Ext(5, b"a")), ("bytes", b"a"), ("a list", [1]),
        ("2^64 - 1", (1 << 64) - 1), ("not a number", float("nan")),
    ):  # fmt: skip
        yield Case(
            f"msgpack: data that is {name}", binary(pack({"id": "a", "op": "world.describe", "data": value})), "invalid"
        )
    stamp = {"id": msgspec.msgpack.Ext(-1, b"\0" * 4), "op": "world.describe"}
    yield Case("msgpack: an id that is a time", binary(pack(stamp)), "invalid")
    yield Case("msgpack: a key that is a number", binary(b"\x81\x01\x02"), "invalid")
    yield Case("msgpack: a list that claims 2^32 - 1", binary(b"\xdd\xff\xff\xff\xff"), "malformed")
    yield Case("msgpack: open lists", binary(b"\x91" * DEEP), "malformed")
    yield Case("msgpack: open maps", binary(b"\x81\xa1a" * DEEP), "malformed")
