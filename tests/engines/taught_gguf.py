"""Teaches a small model an innkeeper's lines, in a second of NumPy, and writes it as a GGUF that llama.cpp runs.

One layer of width 512. Its heads look back 1 to 12 tokens: RoPE turns keys and queries so that each head's score is
largest at its own distance. What they find goes through a random hidden layer, and the output layer is fitted by least
squares until every line comes out as it went in. The numbers that are fitted are those that llama.cpp computes.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.words import Completion
from app.engines.llama.gguf import Bounds, Model
from app.engines.llama.scaffold import Scribe
from tests.engines import tiny_gguf

WIDTH, HEADS, HIDDEN, BACK = 512, 16, 512, 12
SIZE = WIDTH // HEADS
TURN_BASE, SHARPNESS = 10.0, 40.0
SURE = 20.0
"""The logit of the token that comes next; of all others it is about 0."""
EPSILON = 1e-5
LINES = (
    "Welcome to the Crooked Lantern, traveler.",
    "A bed is three silver, and the stew is hot.",
    "Mind the third stair, it sings at night.",
)
Matrix = NDArray[np.float32]


def write_taught(path: Path, completion: Completion, *, template: str = tiny_gguf.CHATML) -> Path:
    """A file whose model answers `completion`, and whatever else ends as it does, with one of LINES."""
    weights = _drawn(len(tiny_gguf.vocabulary(gguf.TokenType.CONTROL)))
    _write(path, template, weights)
    model = Model(path, Bounds(4_096, 0, 1))
    scribe = Scribe(model)
    prompt = scribe.tokens(completion)
    (ends,) = model.marks(scribe.scaffold.marks[-1])
    lines = [[*model.plain(line), ends] for line in LINES]
    model.free()
    weights["output.weight"] = _fitted(weights, prompt, lines)
    return _write(path, template, weights)


def _drawn(tokens: int) -> dict[str, Matrix]:
    drawn = np.random.default_rng(11)

    def some(*shape: int) -> Matrix:
        return (drawn.normal(0.0, 1.0, shape) / np.sqrt(shape[-1])).astype(np.float32)

    embedding = drawn.choice([-1.0, 1.0], (tokens, WIDTH)).astype(np.float32)
    embedding[:, 0] = 1.0  # the same for every token: what the heads measure distances with
    keys, asks = np.zeros((2, WIDTH, WIDTH), np.float32)
    turns = TURN_BASE ** (-np.arange(0, SIZE, 2) / SIZE)  # (pairs,) radians a token
    for head in range(HEADS):
        back = 1 + head % BACK
        rows = head * SIZE + np.arange(0, SIZE, 2)
        keys[rows, 0] = 1.0
        asks[rows, 0], asks[rows + 1, 0] = SHARPNESS * np.cos(-back * turns), SHARPNESS * np.sin(-back * turns)
    ones = np.ones(WIDTH, np.float32)
    return {
        "token_embd.weight": embedding,
        "output_norm.weight": ones,
        "output.weight": some(tokens, WIDTH),
        "blk.0.attn_norm.weight": ones,
        "blk.0.attn_q.weight": asks,
        "blk.0.attn_k.weight": keys,
        "blk.0.attn_v.weight": some(WIDTH, WIDTH),
        "blk.0.attn_output.weight": some(WIDTH, WIDTH),
        "blk.0.ffn_norm.weight": ones,
        "blk.0.ffn_gate.weight": 2.0 * some(HIDDEN, WIDTH),
        "blk.0.ffn_up.weight": 2.0 * some(HIDDEN, WIDTH),
        "blk.0.ffn_down.weight": some(WIDTH, HIDDEN),
    }


def _fitted(weights: dict[str, Matrix], prompt: list[int], lines: list[list[int]]) -> Matrix:
    """The output layer (tokens, WIDTH) by which each line follows the prompt; the first tokens of all are as likely."""
    seen, wanted = [], []
    for line in lines:
        state = _states(weights, [*prompt, *line[:-1]])[len(prompt) - 1 :]  # (len(line), WIDTH)
        seen.append(state)
        target = np.zeros((len(line), len(weights["token_embd.weight"])))
        target[np.arange(len(line)), line] = SURE
        wanted.append(target)
    shared = next(row for row in range(min(map(len, lines))) if len({line[row] for line in lines}) > 1)
    any_of_them = np.mean([target[shared] for target in wanted], axis=0)
    for target in wanted:  # up to here all lines are one
        target[shared] = any_of_them
    found, *_ = np.linalg.lstsq(np.concatenate(seen), np.concatenate(wanted), rcond=1e-6)
    return np.ascontiguousarray(found.T.astype(np.float32))


def _states(weights: dict[str, Matrix], tokens: list[int]) -> Matrix:
    """What llama.cpp feeds its output layer with, for each token: (tokens, WIDTH)."""
    count = len(tokens)
    stream = weights["token_embd.weight"][tokens]
    normed = _norm(stream)

    def by_head(name: str) -> Matrix:
        return (normed @ weights[f"blk.0.{name}.weight"].T).reshape(count, HEADS, SIZE).transpose(1, 0, 2)

    asks, keys, values = _turned(by_head("attn_q")), _turned(by_head("attn_k")), by_head("attn_v")
    scores = asks @ keys.transpose(0, 2, 1) / np.sqrt(SIZE)  # (HEADS, count, count)
    scores[:, np.triu(np.ones((count, count), bool), 1)] = -np.inf
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    found = (shares @ values).transpose(1, 0, 2).reshape(count, WIDTH)
    stream = stream + found @ weights["blk.0.attn_output.weight"].T
    normed = _norm(stream)
    gate = normed @ weights["blk.0.ffn_gate.weight"].T
    hidden = gate / (1.0 + np.exp(-gate)) * (normed @ weights["blk.0.ffn_up.weight"].T)
    return _norm(stream + hidden @ weights["blk.0.ffn_down.weight"].T)


def _turned(heads: Matrix) -> Matrix:
    """RoPE over neighboring pairs: (HEADS, count, SIZE), turned by each token's place."""
    angles = np.arange(heads.shape[1])[:, None] * TURN_BASE ** (-np.arange(0, SIZE, 2) / SIZE)  # (count, pairs)
    first, second = heads[..., 0::2], heads[..., 1::2]
    turned = np.empty_like(heads)
    turned[..., 0::2] = first * np.cos(angles) - second * np.sin(angles)
    turned[..., 1::2] = first * np.sin(angles) + second * np.cos(angles)
    return turned


def _norm(rows: Matrix) -> Matrix:
    return rows / np.sqrt(np.mean(rows * rows, axis=-1, keepdims=True) + EPSILON)


def _write(path: Path, template: str, weights: dict[str, Matrix]) -> Path:
    shape = tiny_gguf.Shape(
        width=WIDTH, heads=HEADS, layers=1, hidden=HIDDEN, context_tokens=4_096, turn_base=TURN_BASE, epsilon=EPSILON
    )
    return tiny_gguf.write(path, shape, template, gguf.TokenType.CONTROL, weights)


def asked(completion: Completion, text: str) -> Completion:
    """The same request with another last line of the player's."""
    *before, last = completion.parts
    return msgspec.structs.replace(completion, parts=(*before, msgspec.structs.replace(last, text=text)))
