"""Server-sent events, cut anywhere, against a slow twin that reads line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import EngineDown
from app.engines.providers.sse import EVENT_BYTES_MAX, Events

LINES = st.lists(
    st.sampled_from(
        [b"data: {}", b"data:[DONE]", b"data: ", b"data", b": hm", b"event: x", b"", b"", b"id: 1", b"data:  a"]
    ),
    max_size=24,
)  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def slowly(stream: bytes) -> list[bytes]:
    """The data of every ended event, line by line as the standard says, those without data left out."""
    found: list[bytes] = []
    data: list[bytes] = []
    *lines, _unended = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for line in lines:
        if not line:
            found += [b"\n".join(data)] if b"\n".join(data) else []
            data = []
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
    return found


@given(LINES, ENDS, st.lists(st.integers(0, 400), max_size=12))
def test_events_are_those_of_the_slow_twin_however_the_stream_is_cut(
    lines: list[bytes], end: bytes, cuts: list[int]
) -> None:
    stream = end.join([*lines, b"", b"", b"x"])
    events, found, begin = Events("gpt"), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        found += events.feed(stream[begin:cut])
        begin = max(begin, cut)
    assert found == slowly(stream)


def test_an_event_without_an_end_is_cut_off() -> None:
    events = Events("gpt")
    for _ in range(EVENT_BYTES_MAX // 1_024):
        events.feed(b"x" * 1_024)
    with pytest.raises(EngineDown, match="gpt sent an event of over"):
        events.feed(b"x")
