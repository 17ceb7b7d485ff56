"""structlog as Innkeeper uses it: one line per event, on stderr, as JSON or for a terminal.

It does not decide what is logged; callers never pass player text at info.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import msgspec
import structlog
from structlog.typing import Processor

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def open_log(*, level: Literal["debug", "info", "warning", "error"], format: Literal["console", "json"]) -> Any:
    """A filtering bound logger; typed Any because structlog builds its class at run time."""
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    wrapper = structlog.make_filtering_bound_logger(_LEVELS[level])
    if format == "json":
        return structlog.wrap_logger(
            structlog.BytesLogger(sys.stderr.buffer),
            processors=[*shared, structlog.processors.format_exc_info, _to_json],
            wrapper_class=wrapper,
            cache_logger_on_first_use=True,
        )
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[*shared, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())],
        wrapper_class=wrapper,
        cache_logger_on_first_use=True,
    )


def _to_json(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(fields, enc_hook=repr)
