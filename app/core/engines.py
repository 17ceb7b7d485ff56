"""The engine tables of a profile, by kind. They name what computes and its bounds, and import none of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from app.core.section import Section


class Engine(Section, frozen=True, kw_only=True, tag_field="kind"):
    """Base of the engine tables; `kind` chooses the type."""


class Onnx(Engine, frozen=True, kw_only=True, tag="onnx"):
    """A network on ONNX Runtime, on the first provider that works: one of models/catalog.toml, or a file of yours."""

    model: str = ""
    """Its id in the catalog."""
    file: str = ""
    """Instead of `model`, a file relative to the working directory; without either the engine is left out."""
    tokenizer: str = ""
    """For a network that reads text: its vocab.txt or tokenizer.json, relative to the working directory."""
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


VariableName = Annotated[str, msgspec.Meta(pattern=r"^([A-Z_][A-Z0-9_]{0,63})?$")]
"""What a variable of the environment is called. A key that stands here by mistake is refused, and not shown."""


class Rate(Section, frozen=True, kw_only=True):
    """What an operator pays for a model, in US dollars per million tokens, instead of what models/prices.toml says."""

    input_usd: float
    output_usd: float
    cached_input_usd: float | None = None
    """None costs as input, and so below."""
    cache_write_usd: float | None = None


class OpenAI(Engine, frozen=True, kw_only=True, tag="openai"):
    """OpenAI's API, or any server that speaks it at `base_url`: vLLM, Ollama, LM Studio."""

    model: str
    api: Literal["chat", "responses"] = "chat"
    """Chat Completions, which every compatible server speaks, or Responses."""
    key_env: VariableName = "OPENAI_API_KEY"
    """Empty for a server at `base_url` that takes no key; its words cost nothing unless `price` says so."""
    base_url: str = ""
    token_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"  # noqa: S105  # no secret
    """What the server calls the limit of its answer; older ones know `max_tokens` alone."""
    data_residency: Literal["", "global", "us", "eu", "ae", "au", "in", "jp"] = ""
    """Which of OpenAI's own regional addresses is called; most models cost a tenth more there."""
    price: Rate | None = None
    region: str = ""
    """Where its words are kept, such as `eu`, for tenants that name regions; empty is what `data_residency` says."""
    batches: bool | None = None
    """Whether work that can wait goes to its batches; None is where the vendor itself is called."""
    first_token_ms: int = 4_000
    gap_ms: int = 800
    """A stream that pauses longer has failed: the player hears the NPC fall silent in mid-line."""
    total_ms: int = 30_000

    @property
    def kept_in(self) -> str:
        """Where its words are kept; empty where nobody says."""
        return self.region or self.data_residency.replace("global", "")


class Azure(Engine, frozen=True, kw_only=True, tag="azure"):
    """Azure OpenAI; without an endpoint or key it is left out."""

    deployment: str
    model: str = ""
    """What is deployed, for its price and what it takes, where the deployment has another name."""
    api: Literal["chat", "responses"] = "chat"
    endpoint_env: VariableName = "AZURE_OPENAI_ENDPOINT"
    key_env: VariableName = "AZURE_OPENAI_API_KEY"
    api_version: str = "2026-06-01"
    price: Rate | None = None
    region: str = ""
    first_token_ms: int = 4_000
    gap_ms: int = 800
    total_ms: int = 30_000

    @property
    def kept_in(self) -> str:
        """Where its words are kept; empty where nobody says."""
        return self.region


class Anthropic(Engine, frozen=True, kw_only=True, tag="anthropic"):
    """Anthropic's Messages API."""

    model: str
    key_env: VariableName = "ANTHROPIC_API_KEY"
    base_url: str = ""
    inference_geo: str = ""
    """Where the vendor computes, such as `us`; empty is what its workspace says. Most cost a tenth more there."""
    price: Rate | None = None
    region: str = ""
    """Where its words are kept, such as `eu`, for tenants that name regions; empty is what `inference_geo` says."""
    batches: bool | None = None
    """Whether work that can wait goes to its batches; None is where the vendor itself is called."""
    first_token_ms: int = 4_000
    gap_ms: int = 800
    total_ms: int = 30_000

    @property
    def kept_in(self) -> str:
        """Where its words are kept; empty where nobody says."""
        return self.region or self.inference_geo.replace("global", "")


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


class Variant(Section, frozen=True, kw_only=True):
    """One way to do a task: an engine, and what is asked of it otherwise than the request says."""

    engine: str
    name: str = ""
    """How experiments, bills and the door call it; empty is the engine's name."""
    weight: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0
    """Its share of the players, against the weights of the others; 0 writes only where those cannot."""
    prompt: str = ""
    """The label of the prompt that it is given, for tenants that have set that label; empty is production."""
    output_tokens_max: Annotated[int, msgspec.Meta(ge=0)] = 0
    """0 is what the request says."""
    temperature: float | None = None
    top_p: float | None = None
    effort: str = ""


Route = Literal["order", "thrift", "speed"]
"""What decides among engines that are well and in time: the listed order, the price, or the time to first text."""


class Task(Section, frozen=True, kw_only=True):
    """How one kind of request is written; one without variants takes those of its role, or the providers."""

    variants: tuple[Variant, ...] = ()
    role: str = ""
    """A name of `roles`, such as planner, actor, judge or summarizer."""
    first_token_ms: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0
    """How long the first text is waited for where the request does not say; 0 is until its deadline."""
    hedge: bool = False
    """Start a second engine while the first is slower than it mostly is."""
    route: Route | None = None
    """None is what the whole orchestrator does."""
    easy: tuple[str, ...] = ()
    """Variants, engines, or `local` and `cloud`, that are tried first for an easy request."""
    hard: tuple[str, ...] = ()
    """The same for a hard one."""


class Hard(Section, frozen=True, kw_only=True):
    """What makes a request hard; one that has a schema or tools always is."""

    characters_min: int = 12_000
    """Of the whole prompt."""
    turns_min: int = 16
    output_tokens_min: int = 1_000


class Breaker(Section, frozen=True, kw_only=True):
    """When an engine rests, and for how long."""

    failures_max: Annotated[int, msgspec.Meta(ge=1)] = 3
    """In a row."""
    window_calls: Annotated[int, msgspec.Meta(ge=1, le=256)] = 32
    window_calls_min: int = 8
    """Fewer outcomes than this say nothing about a share."""
    failures_share_max: float = 0.5
    """Of the last `window_calls`."""
    rest_ms: float = 4_000.0
    """Doubled each time that the engine fails again as soon as it is tried, up to `rest_ms_max`."""
    rest_ms_max: float = 4_000.0
    """As long as `rest_ms`, so that an engine that is well again writes again within seconds: a probe costs little."""
    alert_rest_ms: float = 120_000.0
    """After a key or an account was refused, which no waiting mends; doubled too."""
    alert_rest_ms_max: float = 3_600_000.0
    retry_after_ms_max: float = 300_000.0
    """The longest that a provider may ask us to stay away."""


class Hedging(Section, frozen=True, kw_only=True):
    """Second engines beside slow ones."""

    spend_share_max: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.05
    """What hedges may cost, as a share of what everything else has cost."""
    saved_nano_usd_max: int = 100_000_000
    """Room for hedges that is saved up while none are needed."""
    samples_min: int = 8
    """First texts of an engine before its p90 is believed."""


class Orchestrator(Engine, frozen=True, kw_only=True, tag="orchestrator"):
    """Other word engines, in the order to try them, and what tasks want otherwise."""

    providers: tuple[str, ...]
    tasks: dict[str, Task] = {}
    roles: dict[str, tuple[str, ...]] = {}
    """Role -> engines, in the order to try them."""
    route: Route = "order"
    hard: Hard = Hard()
    breaker: Breaker = Breaker()
    hedging: Hedging = Hedging()
    first_token_ms_min: float = 700.0
    """A fair chance for a cloud model: no engine's share of the wait for the first text is shorter, while it lasts."""
    first_token_stale_ms: float = 60_000.0
    """What was learned of an engine's speed is forgotten after this long without a call."""
    warm_ms: float = 240_000.0
    """How long a provider keeps the prompt of an NPC's last line at hand."""
    warm_npcs_max: int = 8_192
    tight_ms: float = 10_000.0
    """After a cap left no room, how long the cheapest engine is tried first for that tenant."""
    overlap_characters_min: int = 4
    """A shorter repetition at the seam of two engines is taken for chance."""


AnyEngine = Onnx | OpenAI | Azure | Anthropic | Llama | Authored | Orchestrator
