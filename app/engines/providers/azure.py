"""Words by a deployment of Azure OpenAI: the same protocol as OpenAI at another address, with another key header."""

from __future__ import annotations

from app.core.outbound import Outbound
from app.engines.outbound import OUTBOUND, provider_client
from app.engines.prices import Prices
from app.engines.providers.openai import ChatCompletions


def open_azure(
    *,
    name: str,
    endpoint: str,
    deployment: str,
    api_version: str,
    key: str,
    prices: Prices,
    model: str = "",
    outbound: Outbound = OUTBOUND,
) -> ChatCompletions:
    """An engine over one deployment; `model` names what is deployed, for its price, where it is not the same word."""
    import openai

    client = openai.AsyncAzureOpenAI(
        azure_endpoint=endpoint,
        azure_deployment=deployment,
        api_version=api_version,
        api_key=key,
        max_retries=0,
        timeout=None,
        http_client=provider_client(endpoint, outbound),
    )
    return ChatCompletions(
        client,
        name=name,
        kind="azure",
        model=model or deployment,
        prices=prices,
        token_field="max_completion_tokens",  # noqa: S106  # a field's name, not a secret
    )
