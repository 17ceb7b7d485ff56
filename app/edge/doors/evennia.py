"""What Evennia's stock LLM NPC sends (evennia.contrib.rpg.llm), a prompt, and the one text that it is answered with.

The shape is that of text-generation-webui's first API, which others have taken over. It calls nobody.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from app.core.errors import Error
from app.core.messages import ModelText
from app.core.words import Sampling, Turn
from app.edge.doors.face import Asked, Whole, Writer, decoded, wrong
from app.edge.doors.models import DEFAULT
from app.edge.doors.openai import Chat
from app.edge.doors.openai_shapes import Name, Seed, Share, Temperature, Tokens


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prompt that the model is to answer; options of a sampler that no provider takes have no effect."""

    prompt: Annotated[str, msgspec.Meta(min_length=1)]
    model: Name = DEFAULT
    max_new_tokens: Tokens | None = None
    max_length: Tokens | None = None
    max_tokens: Tokens | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    stopping_strings: tuple[str, ...] | None = None
    stop_sequence: tuple[str, ...] | None = None
    stop: str | tuple[str, ...] | None = None
    seed: Seed | None = None
    stream: Any = None
    add_bos_token: Any = None
    auto_max_new_tokens: Any = None
    ban_eos_token: Any = None
    custom_token_bans: Any = None
    do_sample: Any = None
    early_stopping: Any = None
    encoder_repetition_penalty: Any = None
    epsilon_cutoff: Any = None
    eta_cutoff: Any = None
    grammar_string: Any = None
    guidance_scale: Any = None
    length_penalty: Any = None
    max_context_length: Any = None
    max_tokens_second: Any = None
    min_length: Any = None
    min_p: Any = None
    mirostat_eta: Any = None
    mirostat_mode: Any = None
    mirostat_tau: Any = None
    n: Any = None
    negative_prompt: Any = None
    no_repeat_ngram_size: Any = None
    num_beams: Any = None
    penalty_alpha: Any = None
    preset: Any = None
    quiet: Any = None
    rep_pen: Any = None
    rep_pen_range: Any = None
    rep_pen_slope: Any = None
    repetition_penalty: Any = None
    repetition_penalty_range: Any = None
    sampler_order: Any = None
    singleline: Any = None
    skip_special_tokens: Any = None
    tfs: Any = None
    top_a: Any = None
    top_k: Any = None
    truncation_length: Any = None
    typical: Any = None
    typical_p: Any = None


class Generated(msgspec.Struct, frozen=True, kw_only=True):
    """One text."""

    text: ModelText


class GenerateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. That a model wrote it is said in the header `Innkeeper-AI-Generated`."""

    results: tuple[Generated, ...]


FIELDS = GenerateRequest.__struct_encode_fields__
_requests = msgspec.json.Decoder(GenerateRequest)
_encoder = msgspec.json.Encoder()


class Generate:
    """POST /api/v1/generate."""

    verb = "evennia.generate"
    media: tuple[str, ...] = ()
    """Whatever the game's settings name: it has one body."""
    unpaid_status = 429

    def read(self, body: bytes) -> Asked:
        request = decoded(_requests, body, FIELDS, "the request")
        if request.stream:
            raise wrong("stream", "this path answers whole", "leave it out, or use /openai/v1/chat/completions")
        stops = request.stop or ()
        stop = (stops,) if isinstance(stops, str) else stops
        return Asked(
            model=request.model,
            turns=(Turn(role="user", text=request.prompt),),
            sampling=Sampling(
                temperature=request.temperature,
                top_p=request.top_p,
                stop=(*(request.stopping_strings or ()), *(request.stop_sequence or ()), *stop),
            ),
            output_tokens=request.max_new_tokens or request.max_length or request.max_tokens or 0,
            seed=max(0, request.seed or 0),
        )

    def whole(self, whole: Whole) -> bytes:
        return _encoder.encode(GenerateAnswer(results=(Generated(text=whole.text),)))

    def writer(self, asked: Asked, whole: Whole) -> Writer:
        raise wrong("stream", "this path answers whole", "leave it out")

    def refusal(self, status: int, error: Error, param: str = "") -> bytes:
        return Chat().refusal(status, error, param)
