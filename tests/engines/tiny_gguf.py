"""Writes a GGUF file that llama.cpp really runs: two layers of width 32 with random weights and a byte vocabulary."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

WIDTH, HEADS, LAYERS, HIDDEN = 32, 4, 2, 64
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
LLAMA3 = "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ m.content }}<|eot_id|>{% endfor %}"
MARKS = ("<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


def write_tiny(
    path: Path,
    *,
    template: str = CHATML,
    context_tokens: int = 4_096,
    mark_type: gguf.TokenType = gguf.TokenType.CONTROL,
) -> Path:
    """A file with MARKS as tokens of `mark_type`, the same bytes each time; its model never ends a line by itself."""
    file = gguf.GGUFWriter(str(path), "llama")
    file.add_context_length(context_tokens)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(HIDDEN)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    vocabulary = _vocabulary(mark_type)
    file.add_vocab_size(len(vocabulary))
    file.add_tokenizer_model("llama")
    file.add_token_list([text for text, _ in vocabulary])
    file.add_token_scores([0.0] * len(vocabulary))
    file.add_token_types([kind for _, kind in vocabulary])
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_add_bos_token(True)
    if template:
        file.add_chat_template(template)
    _weights(file, [kind == gguf.TokenType.BYTE for _, kind in vocabulary])
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def _vocabulary(mark_type: gguf.TokenType) -> list[tuple[str, gguf.TokenType]]:
    kinds = gguf.TokenType
    first = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL), ("\u2581", kinds.NORMAL)]
    return [*first, *((f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)), *((mark, mark_type) for mark in MARKS)]


def _weights(file: gguf.GGUFWriter, said: list[bool]) -> None:
    """`said` tells the tokens that the model draws: the logits of the others are 0, far below the best."""
    drawn = np.random.default_rng(7)

    def add(name: str, *shape: int) -> None:
        file.add_tensor(name, drawn.normal(0.0, 0.3, shape).astype(np.float32))

    def ones(name: str) -> None:
        file.add_tensor(name, np.ones(WIDTH, np.float32))

    add("token_embd.weight", len(said), WIDTH)
    ones("output_norm.weight")
    output = drawn.normal(0.0, 1.0, (len(said), WIDTH)) * np.array(said)[:, None]
    file.add_tensor("output.weight", output.astype(np.float32))
    for layer in range(LAYERS):
        ones(f"blk.{layer}.attn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{part}.weight", WIDTH, WIDTH)
        ones(f"blk.{layer}.ffn_norm.weight")
        add(f"blk.{layer}.ffn_gate.weight", HIDDEN, WIDTH)
        add(f"blk.{layer}.ffn_up.weight", HIDDEN, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, HIDDEN)
