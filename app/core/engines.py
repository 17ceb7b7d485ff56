"""The engine tables of a profile, by kind. They name what computes and its bounds, and import none of it."""

from __future__ import annotations

from app.core.section import Section


class Engine(Section, frozen=True, kw_only=True, tag_field="kind"):
    """Base of the engine tables; `kind` chooses the type."""


class Onnx(Engine, frozen=True, kw_only=True, tag="onnx"):
    """A network of models/catalog.toml on ONNX Runtime, on the first provider that works."""

    model: str
    providers: tuple[str, ...] = ("cpu",)
    batch_rows_max: int = 1024
    """Rows of one run; a larger request runs in chunks of that many."""
    threads: int = 1
    """Of the runtime's own in one run; chunks in parallel are quicker for a small network."""
    workers_max: int = 2
    """Threads that share the chunks of a large request on the CPU; a GPU has one."""
    queue_rows_max: int = 65_536
    """Rows that wait; a request that would exceed it goes to the next rung."""
    window_us: int = 0
    """Microseconds for which few rows wait for others, on a GPU alone; 0 runs what is there."""
    gpu_memory_bytes_max: int = 0
    """What the network may take of the GPU's memory; 0 is no bound."""
    gpu_graphs: bool = True
    """Capture each bucket's run as a CUDA graph."""
    gpu_buckets: tuple[int, ...] = (1, 8, 32, 128, 512, 1_024)
    """Rows of the runs that a GPU is prepared for; fewer are padded to the next one."""
    cache_folder: str = ""
    """Where engines that TensorRT built are kept, relative to the working directory; empty builds them anew."""


class OpenAI(Engine, frozen=True, kw_only=True, tag="openai"):
    """OpenAI's API, or any server that speaks it at `base_url`."""

    model: str
    key_env: str = "OPENAI_API_KEY"
    base_url: str = ""
    region: str = ""
    """Where its words are kept, such as `eu`, for tenants that name regions."""
    first_token_ms: int = 4_000
    gap_ms: int = 800
    """A stream that pauses longer has failed: the player hears the NPC fall silent in mid-line."""
    total_ms: int = 30_000


class Azure(Engine, frozen=True, kw_only=True, tag="azure"):
    """Azure OpenAI; without an endpoint or key it is left out."""

    deployment: str
    endpoint_env: str = "AZURE_OPENAI_ENDPOINT"
    key_env: str = "AZURE_OPENAI_API_KEY"
    api_version: str = "2026-06-01"
    region: str = ""
    first_token_ms: int = 4_000
    gap_ms: int = 800
    total_ms: int = 30_000


class Anthropic(Engine, frozen=True, kw_only=True, tag="anthropic"):
    """Anthropic's Messages API."""

    model: str
    key_env: str = "ANTHROPIC_API_KEY"
    base_url: str = ""
    region: str = ""
    """Where its words are kept, such as `eu`, for tenants that name regions."""
    first_token_ms: int = 4_000
    gap_ms: int = 800
    total_ms: int = 30_000


class Llama(Engine, frozen=True, kw_only=True, tag="llama"):
    """A GGUF file in llama.cpp on this machine; without a file it is left out."""

    file: str
    """Relative to the working directory."""
    context_tokens_max: int = 4_096
    gpu_layers_max: int = 0
    """Layers of the model on the GPU; 0 keeps it on the CPU, more than it has puts all of it there."""
    threads_max: int = 4
    """One core is left free all the same: llama.cpp's threads spin, and one without a core stops the others."""
    contexts_max: int = 1
    """Lines that are written at the same time; each takes a cache of its own and its share of the threads."""
    jobs_max: int = 8
    """Lines that wait or are written; one more is refused, so that another engine writes it."""
    first_token_ms: int = 8_000
    gap_ms: int = 2_000
    total_ms: int = 60_000


class Authored(Engine, frozen=True, kw_only=True, tag="authored"):
    """Lines from grammar and persona; no model, no network."""

    language: str = "en"


class Orchestrator(Engine, frozen=True, kw_only=True, tag="orchestrator"):
    """Other word engines, in the order to try them."""

    providers: tuple[str, ...]


AnyEngine = Onnx | OpenAI | Azure | Anthropic | Llama | Authored | Orchestrator
