"""`GET /api/models`: what can be chosen, what it can do, what it costs."""

from typing import Literal

import msgspec

from tertulia.asgi.exchange import Answer, Exchange, json_answer
from tertulia.asgi.route import Route
from tertulia.kernel.money import credits_text
from tertulia.models.prices import Prices, Rate
from tertulia.providers.port import Listed
from tertulia.providers.routing import Routing

Capability = Literal["chat", "stream", "tools", "vision", "json", "reasoning", "embeddings", "image_output"]


class CreditCost(msgspec.Struct, frozen=True):
    """Credits for 1,000 tokens, decimal strings."""

    prompt: str
    completion: str


class Model(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One model; null where the host does not say."""

    id: str
    name: str
    description: str
    provider: str
    capabilities: tuple[Capability, ...]
    credit_cost: CreditCost | None
    max_tokens: int | None
    context_window: int | None
    available: bool


class Models(msgspec.Struct, frozen=True):
    """The answer of `GET /api/models`."""

    models: list[Model]


def routes(*, routing: Routing, prices: Prices) -> tuple[Route, ...]:
    """Make the route."""

    async def models(_: Exchange) -> Answer:
        listed = await routing.listed()
        return json_answer(
            Models([_shown(provider, model, routing, prices) for provider, its in listed.items() for model in its])
        )

    return (
        Route(
            method="GET",
            path="/api/models",
            handler=models,
            access="user",
            scope="read",
            meter="none",
            answer=Models,
            summary="List the models, with capabilities and prices",
            tags=("Sessions",),
        ),
    )


def _shown(provider: str, model: Listed, routing: Routing, prices: Prices) -> Model:
    price = prices.of(provider, model.id)
    return Model(
        id=f"{provider}/{model.id}",
        name=model.name or model.id,
        description="",
        provider=provider,
        capabilities=("chat", "stream"),
        credit_cost=CreditCost(_per_thousand(price.prompt), _per_thousand(price.completion)) if price else None,
        max_tokens=model.max_output,
        context_window=model.context_window,
        available=routing.available(provider),
    )


def _per_thousand(rate: Rate) -> str:
    return credits_text(rate.base // 1000)
