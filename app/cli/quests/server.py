"""The few requests that the verbs on quests send to a running server. It knows HTTP, and nothing of quests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import Invalid, Unavailable, from_code

WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, the key to it, and which of its worlds is meant."""

    url: str
    key: str
    world: str

    @classmethod
    def at(cls, url: str, key_file: Path, world: str) -> Server:
        """The server at `url`; raises Invalid where the address or the key is none."""
        if not url.startswith(("http://", "https://")):
            raise Invalid(f"{url!r} is no address of a server", hint="http://127.0.0.1:8717")
        try:
            key = key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"{str(key_file)!r} holds no key", hint="manage.py key create makes one") from error
        return cls(url.rstrip("/"), key, world)

    def ask(self, verb: str, **data: Any) -> Any:
        """The reply to `quests.<verb>`; raises what the server refused, or Unavailable."""
        body = msgspec.json.encode({"world": self.world, **data})
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        address = f"{self.url}/v1/quests/{verb}"
        request = urllib.request.Request(address, data=body, headers=headers, method="POST")  # noqa: S310  # seen to be http
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310  # as above
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                told = json.load(error)
            raise from_code(told["code"], told.get("detail", ""), hint=told.get("hint", "")) from error
        except (urllib.error.URLError, TimeoutError) as error:
            raise Unavailable(f"the server at {self.url} does not answer: {error}", hint="is it running?") from error
