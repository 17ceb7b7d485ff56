"""A GGUF file in llama.cpp: a model, and contexts that take tokens, draw the next one and remember what they have read.

All of llama_cpp is spoken here, by its C interface: its Python class redirects the whole process's output while
it loads. Everything runs in the thread that calls. It knows no prompt, no queue and no deadline.
"""

from __future__ import annotations

import ctypes
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import EngineDown
from app.core.words import Sampling
from app.engines.llama import header
from app.engines.plan import machine_bytes

TOP_K, TOP_P, MIN_P, TEMPERATURE = 40, 0.95, 0.05, 0.8
"""How a token is drawn where the completion does not say: llama.cpp's own defaults."""
STEP_TOKENS_CPU, STEP_TOKENS_GPU = 32, 512
"""Tokens read in one call, which cannot be cut short: a fraction of a second on either."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one model may take of the machine; `gpu_layers_max` 0 stays on the CPU."""

    context_tokens_max: int
    gpu_layers_max: int
    threads_max: int
    contexts_max: int = 1


def check(path: Path, bounds: Bounds) -> None:
    """Refuse, without loading it, a file that is no whole GGUF or cannot fit; raises EngineDown with its size."""
    found = header.read(path)
    if found.size_bytes < found.whole_bytes:
        raise EngineDown(
            f"{told(path)} is cut short: its tensors need {found.whole_bytes} bytes", hint="copy or download it again"
        )
    memory = machine_bytes()
    if memory and not bounds.gpu_layers_max and found.size_bytes > memory:
        raise EngineDown(
            f"{told(path)} does not fit: this machine has {gib(memory)}", hint="choose a smaller quantization"
        )


class Model:
    """A loaded file and its vocabulary, which any number of contexts share; close it with `free` after all of them."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        """Load the file; raises EngineDown when it is no GGUF, does not fit or llama.cpp cannot be loaded."""
        check(path, bounds)
        self.library: Any = _library()  # a C interface: pointers without types
        self.path, self.bounds = path, bounds
        self.on_gpu = bool(bounds.gpu_layers_max and self.library.llama_supports_gpu_offload())
        asked = self.library.llama_model_default_params()
        asked.n_gpu_layers = bounds.gpu_layers_max
        self.pointer = self.library.llama_model_load_from_file(os.fsencode(path), asked)
        if not self.pointer:
            raise EngineDown(
                f"llama.cpp does not load {told(path)}",
                hint="its lines on stderr say why: the file is broken, too large, or newer than this llama.cpp",
                failure="unreachable",
            )
        self.vocabulary = self.library.llama_model_get_vocab(self.pointer)

    def template(self) -> str:
        """The chat template that the file carries, or nothing."""
        found = self.library.llama_model_chat_template(self.pointer, None)
        return found.decode("utf-8", "replace") if found else ""

    def beginning(self) -> list[int]:
        """What the model wants before any text."""
        wanted = self.library.llama_vocab_get_add_bos(self.vocabulary)
        return [self.library.llama_vocab_bos(self.vocabulary)] if wanted else []

    def marks(self, text: str) -> list[int]:
        """Our own scaffold as tokens, control tokens among them."""
        return self._tokens(text, True)

    def plain(self, text: str) -> list[int]:
        """Anyone else's text as tokens; what it says is never read as a control token."""
        return [token for token in self._tokens(text, False) if not self.ends(token)]

    def _tokens(self, text: str, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8  # a token is a byte at least, and a tokenizer may add a space
        found = (self.library.llama_token * room)()
        count = self.library.llama_tokenize(self.vocabulary, data, len(data), found, room, False, special)
        if count < 0:
            raise EngineDown(f"llama.cpp cannot tokenize a text of {len(data)} bytes", failure="refused")
        return list(found[:count])

    def ends(self, token: int) -> bool:
        """True when the token ends a turn or is another control token, never text."""
        library, vocabulary = self.library, self.vocabulary
        return bool(library.llama_vocab_is_eog(vocabulary, token) or library.llama_vocab_is_control(vocabulary, token))

    def text(self, token: int) -> bytes:
        """The token's bytes, which may be a part of one character."""
        room = 64
        while True:
            found = (ctypes.c_char * room)()
            count = self.library.llama_token_to_piece(self.vocabulary, token, found, room, 0, False)
            if count >= 0:
                return bytes(found.raw[:count])
            room = -count

    def free(self) -> None:
        """Give the memory back; no context may be open."""
        self.library.llama_model_free(self.pointer)


class Context:
    """What one completion at a time is read into and drawn from; close it with `free`, in the thread that uses it."""

    def __init__(self, model: Model) -> None:
        """Take the memory of a context; raises EngineDown when it does not fit."""
        self._library, self._model = model.library, model
        self.step_tokens_max = STEP_TOKENS_GPU if model.on_gpu else STEP_TOKENS_CPU
        self._context = self._library.llama_init_from_model(model.pointer, self._asked(model))
        if not self._context:
            raise EngineDown(
                f"{told(model.path)} does not fit with a context of {model.bounds.context_tokens_max} tokens",
                hint="lower this engine's context_tokens_max, contexts_max or gpu_layers_max",
                failure="unreachable",
            )
        self.tokens_max: int = self._library.llama_n_ctx(self._context)
        self._memory = self._library.llama_get_memory(self._context)
        self._held: list[int] = []

    def _asked(self, model: Model) -> Any:
        bounds = model.bounds
        asked = self._library.llama_context_default_params()
        asked.n_ctx = min(bounds.context_tokens_max, self._library.llama_model_n_ctx_train(model.pointer))
        asked.n_batch = asked.n_ubatch = self.step_tokens_max
        share = max(1, (_cores() - 1) // bounds.contexts_max)
        asked.n_threads = asked.n_threads_batch = min(bounds.threads_max, share)
        asked.no_perf = True
        if not model.on_gpu:  # measured: on a CPU, flash attention reads a prompt a third slower
            asked.flash_attn_type = self._library.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return asked

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
            raise EngineDown(f"llama.cpp failed to read {len(tokens)} tokens (code {code})", failure="server")
        self._held += tokens

    def _forget(self) -> None:
        self._library.llama_memory_clear(self._memory, True)
        self._held.clear()

    @contextmanager
    def drawing(self, *, seed: int, sampling: Sampling, grammar: str = "") -> Iterator[Callable[[], int]]:
        """A function that draws the next token; with a grammar only such as keep to it. Raises EngineDown."""
        library = self._library
        chain, held = self._chain(seed, sampling), None
        try:
            if grammar:
                held = self._chain(seed, sampling, self._grammar(grammar))
            yield lambda: self._drawn(chain, held)
        finally:
            library.llama_sampler_free(chain)
            if held is not None:
                library.llama_sampler_free(held)

    def _drawn(self, chain: Any, held: Any) -> int:
        """A token that is drawn freely where the grammar takes it: looking at every token's text costs far more."""
        library = self._library
        token = int(library.llama_sampler_sample(chain, self._context, -1))
        if held is None:
            return token
        grammar = library.llama_sampler_chain_get(held, 0)
        one = (library.llama_token_data * 1)(library.llama_token_data(token, 1.0, 0.0))
        found = library.llama_token_data_array(one, 1, -1, False)
        library.llama_sampler_apply(grammar, ctypes.byref(found))
        if math.isinf(one[0].logit):
            return int(library.llama_sampler_sample(held, self._context, -1))
        library.llama_sampler_accept(grammar, token)
        return token

    def _chain(self, seed: int, sampling: Sampling, first: Any = None) -> Any:
        library = self._library
        chain = library.llama_sampler_chain_init(library.llama_sampler_chain_default_params())
        samplers = [] if first is None else [first]
        if sampling.temperature == 0.0:
            samplers.append(library.llama_sampler_init_greedy())
        else:
            samplers += [
                library.llama_sampler_init_top_k(TOP_K),
                library.llama_sampler_init_top_p(TOP_P if sampling.top_p is None else sampling.top_p, 1),
                library.llama_sampler_init_min_p(MIN_P, 1),
                library.llama_sampler_init_temp(TEMPERATURE if sampling.temperature is None else sampling.temperature),
                library.llama_sampler_init_dist(seed % (1 << 32)),
            ]
        for sampler in samplers:
            library.llama_sampler_chain_add(chain, sampler)
        return chain

    def _grammar(self, rules: str) -> Any:
        grammar = self._library.llama_sampler_init_grammar(self._model.vocabulary, rules.encode(), b"root")
        if not grammar:
            raise EngineDown(
                f"llama.cpp takes no grammar of {len(rules)} characters from the schema",
                hint="make the schema smaller",
                failure="refused",
            )
        return grammar

    def free(self) -> None:
        """Give the memory back; the context is of no use afterwards."""
        self._library.llama_free(self._context)


def _library() -> Any:
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineDown(
            f"llama_cpp does not load: {error}", hint="uv sync --extra llama", failure="unreachable"
        ) from error
    logging.getLogger("llama-cpp-python").setLevel(logging.ERROR)  # else it tells every tensor on stderr
    llama_cpp.llama_backend_init()
    return llama_cpp


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def told(path: Path) -> str:
    size = path.stat().st_size
    return f"{path.name!r} ({gib(size) if size >= 1 << 28 else f'{size} bytes'})"


def gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
