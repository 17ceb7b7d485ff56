"""A sentence encoder as small as it gets: a table of what words mean, looked up token by token, as an .onnx file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.engines.tiny_onnx import chunk, node, number, tensor

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MEANINGS = (
    ("physician", "doctor", "healer", "##er"), ("ill", "sick", "poorly"), ("sword", "blade"), ("harbor", "port"),
    ("king", "ruler"), ("bread", "loaf"), ("wolf", "wolves"), ("gold", "silver"),
    ("veshna", "tormil"),
)  # fmt: skip
"""Words of one line mean the same; nothing else means anything."""
VOCABULARY = (*SPECIAL, *(word for line in MEANINGS for word in line))
INT64, FLOAT = 7, 1


def table() -> np.ndarray:
    rows = np.zeros((len(VOCABULARY), len(MEANINGS)), np.float32)
    for at, line in enumerate(MEANINGS):
        for word in line:
            rows[VOCABULARY.index(word), at] = 1.0
    return rows


def _value(name: str, kind: int, *dims: str | int) -> bytes:
    shape = b"".join(chunk(1, chunk(2, dim) if isinstance(dim, str) else number(1, dim)) for dim in dims)
    return chunk(1, name) + chunk(2, chunk(1, number(1, kind) + chunk(2, shape)))


def network(*, types: bool = True, rows: np.ndarray | None = None) -> bytes:
    """input_ids, attention_mask (and token_type_ids) -> last_hidden_state (rows, tokens, meanings)."""
    meanings = table() if rows is None else rows
    inputs = ("input_ids", "attention_mask", *(("token_type_ids",) if types else ()))
    graph = b"".join(
        (
            chunk(1, node("Gather", ["table", "input_ids"], ["last_hidden_state"])),
            chunk(2, "encoder"),
            chunk(5, tensor("table", meanings)),
            *(chunk(11, _value(name, INT64, "rows", "tokens")) for name in inputs),
            chunk(12, _value("last_hidden_state", FLOAT, "rows", "tokens", meanings.shape[1])),
        )
    )
    return number(1, 9) + chunk(8, chunk(1, "") + number(2, 17)) + chunk(7, graph)


def write(folder: Path, data: bytes | None = None) -> tuple[Path, Path]:
    """The network and its vocab.txt, as files of the folder."""
    file, words = folder / "encoder.onnx", folder / "vocab.txt"
    file.write_bytes(network() if data is None else data)
    words.write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return file, words
