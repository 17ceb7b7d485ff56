"""Writes a GGUF file that llama.cpp really runs: two layers of width 32 with random weights and a byte vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
LLAMA3 = "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ m.content }}<|eot_id|>{% endfor %}"
MARKS = ("<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model, as its header tells them."""

    width: int = 32
    heads: int = 4
    layers: int = 2
    hidden: int = 64
    context_tokens: int = 4_096
    turn_base: float = 10_000.0
    epsilon: float = 1e-5


def write_tiny(
    path: Path,
    *,
    template: str = CHATML,
    context_tokens: int = 4_096,
    mark_type: gguf.TokenType = gguf.TokenType.CONTROL,
) -> Path:
    """A file with MARKS as tokens of `mark_type`, the same bytes each time; its model never ends a line by itself."""
    shape = Shape(context_tokens=context_tokens)
    said = [kind == gguf.TokenType.BYTE for _, kind in vocabulary(mark_type)]
    return write(path, shape, template, mark_type, _weights(shape, said))


def write(
    path: Path, shape: Shape, template: str, mark_type: gguf.TokenType, weights: Mapping[str, NDArray[np.float32]]
) -> Path:
    """A file of that shape with those weights."""
    file = gguf.GGUFWriter(str(path), "llama")
    file.add_name("Mira")
    file.add_license("cc0-1.0")
    file.add_context_length(shape.context_tokens)
    file.add_embedding_length(shape.width)
    file.add_block_count(shape.layers)
    file.add_feed_forward_length(shape.hidden)
    file.add_head_count(shape.heads)
    file.add_head_count_kv(shape.heads)
    file.add_rope_dimension_count(shape.width // shape.heads)
    file.add_rope_freq_base(shape.turn_base)
    file.add_layer_norm_rms_eps(shape.epsilon)
    known = vocabulary(mark_type)
    file.add_vocab_size(len(known))
    file.add_tokenizer_model("llama")
    file.add_token_list([text for text, _ in known])
    file.add_token_scores([0.0] * len(known))
    file.add_token_types([kind for _, kind in known])
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_add_bos_token(True)
    if template:
        file.add_chat_template(template)
    for name, values in weights.items():
        file.add_tensor(name, values)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def vocabulary(mark_type: gguf.TokenType) -> list[tuple[str, gguf.TokenType]]:
    """Each token's text and type."""
    kinds = gguf.TokenType
    first = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL), ("\u2581", kinds.NORMAL)]
    return [*first, *((f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)), *((mark, mark_type) for mark in MARKS)]


def _weights(shape: Shape, said: list[bool]) -> dict[str, NDArray[np.float32]]:
    """`said` tells the tokens that the model draws: the logits of the others are 0, far below the best."""
    drawn = np.random.default_rng(7)
    width, hidden = shape.width, shape.hidden

    def some(*sizes: int) -> NDArray[np.float32]:
        return drawn.normal(0.0, 0.3, sizes).astype(np.float32)

    ones = np.ones(width, np.float32)
    found = {"token_embd.weight": some(len(said), width), "output_norm.weight": ones}
    output = drawn.normal(0.0, 1.0, (len(said), width)) * np.array(said)[:, None]
    found["output.weight"] = output.astype(np.float32)
    for layer in range(shape.layers):
        found[f"blk.{layer}.attn_norm.weight"] = ones
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            found[f"blk.{layer}.{part}.weight"] = some(width, width)
        found[f"blk.{layer}.ffn_norm.weight"] = ones
        found[f"blk.{layer}.ffn_gate.weight"] = some(hidden, width)
        found[f"blk.{layer}.ffn_up.weight"] = some(hidden, width)
        found[f"blk.{layer}.ffn_down.weight"] = some(width, hidden)
    return found
