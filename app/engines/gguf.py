"""A GGUF file in llama.cpp: one context that takes tokens and draws the next one, and remembers what it has read.

All of llama_cpp is spoken here, by its C interface: its Python class redirects the whole process's output while
it loads. Everything runs in the thread that calls. It knows no prompt, no queue and no deadline.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import EngineDown

MAGIC = b"GGUF"
TOP_K, TOP_P, MIN_P, TEMPERATURE = 40, 0.95, 0.05, 0.8
"""How a token is drawn: llama.cpp's own defaults."""
STEP_TOKENS_CPU, STEP_TOKENS_GPU = 32, 512
"""Tokens read in one call, which cannot be cut short: a fraction of a second on either."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a context may take of the machine; `gpu_layers_max` 0 stays on the CPU."""

    context_tokens_max: int
    gpu_layers_max: int
    threads_max: int


def check(path: Path, bounds: Bounds) -> None:
    """Refuse, without loading it, a file that is no GGUF or cannot fit; raises EngineDown with its size."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
    except OSError as error:
        raise EngineDown(f"{str(path)!r} cannot be read: {error.strerror}", hint="see the engine's `file`") from error
    if begins != MAGIC:
        raise EngineDown(f"{_told(path)} is no GGUF: it begins with {begins!r}", hint="name a .gguf file")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    if memory and not bounds.gpu_layers_max and path.stat().st_size > memory:
        raise EngineDown(
            f"{_told(path)} does not fit: this machine has {_gib(memory)}", hint="choose a smaller quantization"
        )


class Context:
    """A loaded model and its one context; close it with `free`, in the thread that uses it."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        """Load the file; raises EngineDown when it is no GGUF, does not fit or llama.cpp cannot be loaded."""
        check(path, bounds)
        self._library: Any = _library()  # a C interface: pointers without types
        library = self._library
        self.on_gpu = bool(bounds.gpu_layers_max and library.llama_supports_gpu_offload())
        self.step_tokens_max = STEP_TOKENS_GPU if self.on_gpu else STEP_TOKENS_CPU
        asked = library.llama_model_default_params()
        asked.n_gpu_layers = bounds.gpu_layers_max
        self._model = library.llama_model_load_from_file(os.fsencode(path), asked)
        if not self._model:
            raise EngineDown(
                f"llama.cpp does not load {_told(path)}",
                hint="its lines on stderr say why: the file is cut short, too large, or newer than this llama.cpp",
            )
        self._context = library.llama_init_from_model(self._model, self._asked(bounds))
        if not self._context:
            library.llama_model_free(self._model)
            raise EngineDown(
                f"{_told(path)} does not fit with a context of {bounds.context_tokens_max} tokens",
                hint="lower this engine's context_tokens_max or gpu_layers_max",
            )
        self.tokens_max: int = library.llama_n_ctx(self._context)
        self._memory = library.llama_get_memory(self._context)
        self._vocabulary = library.llama_model_get_vocab(self._model)
        self._held: list[int] = []

    def _asked(self, bounds: Bounds) -> Any:
        asked = self._library.llama_context_default_params()
        asked.n_ctx = min(bounds.context_tokens_max, self._library.llama_model_n_ctx_train(self._model))
        asked.n_batch = asked.n_ubatch = self.step_tokens_max
        asked.n_threads = asked.n_threads_batch = max(1, min(bounds.threads_max, _cores() - 1))
        asked.no_perf = True
        if not self.on_gpu:  # measured: on a CPU, flash attention reads a prompt a third slower
            asked.flash_attn_type = self._library.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return asked

    def template(self) -> str:
        """The chat template that the file carries, or nothing."""
        found = self._library.llama_model_chat_template(self._model, None)
        return found.decode("utf-8", "replace") if found else ""

    def beginning(self) -> list[int]:
        """What the model wants before any text."""
        wanted = self._library.llama_vocab_get_add_bos(self._vocabulary)
        return [self._library.llama_vocab_bos(self._vocabulary)] if wanted else []

    def marks(self, text: str) -> list[int]:
        """Our own scaffold as tokens, control tokens among them."""
        return self._tokens(text, True)

    def plain(self, text: str) -> list[int]:
        """Anyone else's text as tokens; what it says is never read as a control token."""
        return [token for token in self._tokens(text, False) if not self.ends(token)]

    def _tokens(self, text: str, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8  # a token is a byte at least, and a tokenizer may add a space
        found = (self._library.llama_token * room)()
        count = self._library.llama_tokenize(self._vocabulary, data, len(data), found, room, False, special)
        if count < 0:
            raise EngineDown(f"llama.cpp cannot tokenize a text of {len(data)} bytes")
        return list(found[:count])

    def ends(self, token: int) -> bool:
        """True when the token ends a turn or is another control token, never text."""
        library, vocabulary = self._library, self._vocabulary
        return bool(library.llama_vocab_is_eog(vocabulary, token) or library.llama_vocab_is_control(vocabulary, token))

    def text(self, token: int) -> bytes:
        """The token's bytes, which may be a part of one character."""
        room = 64
        while True:
            found = (ctypes.c_char * room)()
            count = self._library.llama_token_to_piece(self._vocabulary, token, found, room, 0, False)
            if count >= 0:
                return bytes(found.raw[:count])
            room = -count

    def keep(self, tokens: Sequence[int]) -> int:
        """Forget all that was read but the beginning of `tokens`; returns how many of them need not be read again.

        The last one is always read again, since the next is drawn from its output.
        """
        most = min(len(self._held), len(tokens) - 1)
        same = next((row for row in range(most) if self._held[row] != tokens[row]), most)
        if same < len(self._held) and not self._library.llama_memory_seq_rm(self._memory, 0, same, -1):
            self._forget()  # a recurrent model cannot forget a part
            return 0
        del self._held[same:]
        return same

    def read(self, tokens: Sequence[int]) -> None:
        """Read up to `step_tokens_max` tokens after those that are held; raises EngineDown."""
        array = (self._library.llama_token * len(tokens))(*tokens)
        code = self._library.llama_decode(self._context, self._library.llama_batch_get_one(array, len(tokens)))
        if code != 0:
            self._forget()
            raise EngineDown(f"llama.cpp failed to read {len(tokens)} tokens (code {code})")
        self._held += tokens

    def _forget(self) -> None:
        self._library.llama_memory_clear(self._memory, True)
        self._held.clear()

    @contextmanager
    def drawing(self, *, seed: int, schema: Mapping[str, Any] | None) -> Iterator[Callable[[], int]]:
        """A function that draws the next token; with a JSON Schema only such as keep to it."""
        library = self._library
        chain = library.llama_sampler_chain_init(library.llama_sampler_chain_default_params())
        try:
            if schema is not None:
                library.llama_sampler_chain_add(chain, self._grammar(schema))
            for sampler in (
                library.llama_sampler_init_top_k(TOP_K),
                library.llama_sampler_init_top_p(TOP_P, 1),
                library.llama_sampler_init_min_p(MIN_P, 1),
                library.llama_sampler_init_temp(TEMPERATURE),
                library.llama_sampler_init_dist(seed % (1 << 32)),
            ):
                library.llama_sampler_chain_add(chain, sampler)
            yield lambda: int(library.llama_sampler_sample(chain, self._context, -1))
        finally:
            library.llama_sampler_free(chain)

    def _grammar(self, schema: Mapping[str, Any]) -> Any:
        from llama_cpp.llama_grammar import json_schema_to_gbnf

        rules = json_schema_to_gbnf(json.dumps(dict(schema)))
        grammar = self._library.llama_sampler_init_grammar(self._vocabulary, rules.encode(), b"root")
        if not grammar:
            raise EngineDown(f"llama.cpp takes no grammar from the schema {json.dumps(dict(schema))[:200]}")
        return grammar

    def free(self) -> None:
        """Give the memory back; the context is of no use afterwards."""
        self._library.llama_free(self._context)
        self._library.llama_model_free(self._model)


def _library() -> Any:
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineDown(f"llama_cpp does not load: {error}", hint="uv sync --extra llama") from error
    logging.getLogger("llama-cpp-python").setLevel(logging.ERROR)  # else it tells every tensor on stderr
    llama_cpp.llama_backend_init()
    return llama_cpp


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told(path: Path) -> str:
    size = path.stat().st_size
    return f"{path.name!r} ({_gib(size) if size >= 1 << 28 else f'{size} bytes'})"


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
