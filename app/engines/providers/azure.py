"""Words by a deployment of Azure OpenAI: OpenAI's protocols at another address, with another key header."""

from __future__ import annotations

from urllib.parse import quote

from app.core.outbound import Outbound
from app.engines.outbound import OUTBOUND
from app.engines.prices import Price, Prices
from app.engines.providers import capabilities
from app.engines.providers.chat import ChatCompletions
from app.engines.providers.openai import Api
from app.engines.providers.provider import Model, Provider
from app.engines.providers.responses import Responses
from app.engines.providers.transport import Transport


def open_azure(
    *,
    name: str,
    endpoint: str,
    deployment: str,
    api_version: str,
    key: str,
    prices: Prices,
    model: str = "",
    api: Api = "chat",
    own_price: Price | None = None,
    outbound: Outbound = OUTBOUND,
) -> Provider:
    """An engine over one deployment; `model` names what is deployed, for its price, where it is not the same word.

    Raises Invalid for an endpoint that is no address.
    """
    named = model or deployment
    runs = Model(named, capabilities.of(named), prices, own_price=own_price)
    transport = Transport(name, endpoint, {"api-key": key}, outbound)
    version = f"?api-version={quote(api_version, safe='')}"
    if api == "responses":
        path = f"/openai/responses{version}"
        return Responses(transport, path, name=name, kind="azure", model=runs, asked=deployment)
    path = f"/openai/deployments/{quote(deployment, safe='')}/chat/completions{version}"
    return ChatCompletions(
        transport,
        path,
        name=name,
        kind="azure",
        model=runs,
        token_field="max_completion_tokens",  # noqa: S106  # a field's name, not a secret
        asked=deployment,
    )
