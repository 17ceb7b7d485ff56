"""structlog as Innkeeper uses it: one line per event, on stderr, as JSON or for a terminal.

It does not decide what is logged, only what a line may hold (see hygiene); callers never pass what players say.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from functools import lru_cache
from typing import IO, Any, Literal

import msgspec
import structlog
from structlog.typing import Processor

from app.telemetry.hygiene import clean

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_ONE_WORD = re.compile(r"[^\s\"'=]+")


def open_log(*, level: Literal["debug", "info", "warning", "error"], format: Literal["console", "json"]) -> Any:
    """A filtering bound logger; typed Any because structlog builds its class at run time."""
    shared: list[Processor] = [structlog.processors.add_log_level, _stamp, clean]
    wrapper = structlog.make_filtering_bound_logger(_LEVELS[level])
    if format == "json":
        return structlog.wrap_logger(
            structlog.BytesLogger(_Lossy(sys.stderr.buffer)),  # type: ignore[arg-type]  # it asks for write and flush
            processors=[*shared, _to_json],
            wrapper_class=wrapper,
            cache_logger_on_first_use=True,
        )
    watched = sys.stderr.isatty()
    return structlog.wrap_logger(
        structlog.WriteLogger(_Lossy(sys.stderr)),  # type: ignore[arg-type]  # it asks for write and flush
        processors=[*shared, structlog.dev.ConsoleRenderer(colors=True) if watched else _to_line],
        wrapper_class=wrapper,
        cache_logger_on_first_use=True,
    )


def take_over(log: Any) -> None:
    """Let what libraries warn of stand in the same log, under the same rules; called once for a process."""
    root = logging.getLogger()
    root.handlers = [_Handed(log)]
    root.setLevel(logging.WARNING)


class _Handed(logging.Handler):
    """Hands a library's record on as an event."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        level = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        level("library.warned", library=record.name, message=record.getMessage(), exc_info=error)


class _Lossy:
    """A stream that drops what it cannot write: a full disk under the log must fail no request that it tells of."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream

    def write(self, text: str | bytes) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _stamp(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Now, in UTC; structlog's own stamper takes as long as all the rest of a line."""
    now_ns = time.time_ns()
    fields["timestamp"] = f"{_second(now_ns // 1_000_000_000)}.{now_ns // 1_000 % 1_000_000:06}Z"
    return fields


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _to_line(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> str:
    """The look of structlog's renderer for a terminal, without its columns' cost, for a file or a pipe."""
    head = f"{fields.pop('timestamp')} [{fields.pop('level'):<9}] {fields.pop('event'):<30}"
    return f"{head} {' '.join([f'{name}={_word(fields[name])}' for name in sorted(fields)])}".rstrip()


def _word(value: object) -> object:
    """The value, in quotes where a reader could not tell its end."""
    return repr(value) if isinstance(value, str) and not _ONE_WORD.fullmatch(value) else value


def _to_json(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(fields, enc_hook=repr)
