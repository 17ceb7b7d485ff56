"""Words by OpenAI itself, or by any server that speaks the same protocol: Chat Completions or Responses.

It knows where the vendor is and how it takes its key. It does not choose models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from app.core.errors import Invalid
from app.core.outbound import Outbound
from app.engines.outbound import OUTBOUND
from app.engines.prices import FREE, Price, Prices
from app.engines.providers import capabilities
from app.engines.providers.chat import ChatCompletions, TokenField
from app.engines.providers.provider import Model, Provider
from app.engines.providers.responses import Responses
from app.engines.providers.transport import Transport

Api = Literal["chat", "responses"]
URLS: Mapping[str, str] = {
    "": "https://api.openai.com/v1",
    "global": "https://api.openai.com/v1",
    **{region: f"https://{region}.api.openai.com/v1" for region in ("us", "eu", "ae", "au", "in", "jp")},
}
"""Where the vendor keeps words, by its SDK's `data_residency`."""


def open_openai(
    *,
    name: str,
    model: str,
    key: str,
    prices: Prices,
    base_url: str = "",
    api: Api = "chat",
    data_residency: str = "",
    token_field: TokenField = "max_completion_tokens",  # noqa: S107  # a field's name, not a secret
    own_price: Price | None = None,
    outbound: Outbound = OUTBOUND,
) -> Provider:
    """An engine over OpenAI, or over the compatible server at `base_url`; older ones take `max_tokens`.

    A compatible server without a key bills nobody. Raises Invalid for an address or a residency that is none.
    """
    if base_url and data_residency:
        raise Invalid(f"engines.{name} has both base_url and data_residency", hint="leave out one of them")
    if data_residency not in URLS:
        raise Invalid(f"engines.{name}.data_residency is {data_residency!r}", hint=f"one of {sorted(URLS)[1:]}")
    unknown = capabilities.COMPATIBLE if base_url else capabilities.CAREFUL
    runs = Model(
        model,
        capabilities.of(model, unknown=unknown),
        prices,
        own_price=own_price or (FREE if base_url and not key else None),
        regional=data_residency not in ("", "global"),
    )
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = Transport(name, base_url or URLS[data_residency], headers, outbound)
    if api == "responses":
        return Responses(transport, "/responses", name=name, kind="openai", model=runs, keyed=not base_url)
    return ChatCompletions(
        transport,
        "/chat/completions",
        name=name,
        kind="openai",
        model=runs,
        token_field=token_field,
        keyed=not base_url,
    )
