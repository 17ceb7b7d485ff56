"""Words by a deployment of Azure OpenAI: the same protocol as OpenAI at another address, with another key header."""

from __future__ import annotations

from app.engines.openai import ChatCompletions
from app.engines.prices import Prices


def open_azure(
    *, name: str, endpoint: str, deployment: str, api_version: str, key: str, prices: Prices, model: str = ""
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
        http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, timeout=None),
    )
    return ChatCompletions(
        client,
        name=name,
        kind="azure",
        model=model or deployment,
        prices=prices,
        token_field="max_completion_tokens",  # noqa: S106  # a field's name, not a secret
    )
