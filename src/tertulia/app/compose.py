"""The composition: settings to rooms, rooms to doors. One function; no room knows another but by what it is handed."""

from collections.abc import Mapping

import msgspec
import structlog

from tertulia.accounting.usage import usage_recorder
from tertulia.app.configuration import ConfigurationError, Loaded
from tertulia.app.figures import EndingReport, watch_queues
from tertulia.app.providers import LOCAL, Made, make_providers, plan_all
from tertulia.asgi.docs import docs_answer
from tertulia.asgi.openapi import openapi_document
from tertulia.asgi.route import Route
from tertulia.conversations.ending import store_answers
from tertulia.faces.generations.routes import routes as generations_routes
from tertulia.faces.openai.routes import Defaults
from tertulia.faces.openai.routes import routes as openai_routes
from tertulia.faces.operator.routes import Check
from tertulia.faces.operator.routes import routes as operator_routes
from tertulia.faces.sessions.models import routes as models_routes
from tertulia.generation.ending import Contributor
from tertulia.generation.kept import Kept
from tertulia.generation.queue import Queue
from tertulia.generation.runner import Lane
from tertulia.generation.start import Generations
from tertulia.identity.authenticate import Credentials
from tertulia.identity.users import User
from tertulia.kernel.clock import now_us
from tertulia.kernel.errors import Invalid
from tertulia.models.prices import Price, Prices, price_of_setting
from tertulia.net.transport import Transport
from tertulia.providers.routing import Naming, Routing
from tertulia.storage.writer import Storage, StorageUnavailable

_log = structlog.get_logger("tertulia")
_MIB = 1024 * 1024


class App(msgspec.Struct, frozen=True):
    """What is served, and what must be kept going and closed."""

    routes: tuple[Route, ...]
    generations: Generations
    routing: Routing
    credentials: Credentials
    prices: Prices
    made: Made
    contributors: tuple[Contributor, ...]


def make_transport() -> Transport:
    """Make the transport to providers."""
    from tertulia.net.aiohttp import AiohttpTransport  # noqa: PLC0415 - 60 ms, and commands without calls need none

    return AiohttpTransport()


def compose(loaded: Loaded, *, storage: Storage, transport: Transport, admin: User) -> App:
    """Put the system together.

    Raises `ConfigurationError` for what only shows when it is put together: providers, prices, aliases.
    """
    settings = loaded.settings
    try:
        plans = plan_all(settings.providers)
        made = make_providers(
            plans,
            transport=transport,
            local=settings.local_model,
            home=loaded.home,
            idle_s=settings.streaming.idle_timeout_s,
        )
        prices = _prices(loaded, made)
    except Invalid as error:
        raise ConfigurationError(error.message) from None
    contributors: tuple[Contributor, ...] = (store_answers, usage_recorder(prices.of))
    lanes = {
        name: Lane(provider, Queue(settings.queue, made.plans[name].max_concurrent))
        for name, provider in made.providers.items()
    }
    watch_queues(lane.queue for lane in lanes.values())
    generations = Generations(
        storage=storage,
        lanes=lanes,
        contributors=contributors,
        streaming=settings.streaming,
        kept=Kept(seconds=settings.chat.stream_buffer_s, most_bytes=settings.chat.ephemeral_mb * _MIB),
        report=EndingReport(_configured_models(loaded, made).__contains__),
    )
    routing = _routing(loaded, made)
    credentials = Credentials(storage, admin=admin, admin_key=settings.admin_api_key)
    storage.on_outside_write(credentials.forget)
    return App(
        routes=_routes(loaded, storage, generations, routing, made, prices),
        generations=generations,
        routing=routing,
        credentials=credentials,
        prices=prices,
        made=made,
        contributors=contributors,
    )


def _routes(
    loaded: Loaded, storage: Storage, generations: Generations, routing: Routing, made: Made, prices: Prices
) -> tuple[Route, ...]:
    settings = loaded.settings
    described: list[Route] = []

    async def checks() -> Mapping[str, Check]:
        return {"storage": await _storage_check(storage), **_model_check(made)}

    described += openai_routes(
        generations=generations,
        routing=routing,
        sizes=settings.requests,
        defaults=Defaults(settings.chat.save_by_default, settings.chat.on_disconnect),
        started_at=now_us(),
    )
    described += generations_routes(generations=generations, heartbeat_s=settings.streaming.heartbeat_s)
    described += models_routes(routing=routing, prices=prices)
    described += operator_routes(
        checks=checks,
        draining=lambda: generations.draining,
        metrics=settings.metrics,
        openapi=lambda: openapi_document(described),
        docs=lambda: docs_answer(described),
        commit=None,
    )
    return tuple(described)


async def _storage_check(storage: Storage) -> Check:
    try:
        await storage.healthy()
    except StorageUnavailable as error:
        _log.error("storage_unavailable", error=error.message)
        return Check("down", "The database cannot be reached.")
    return Check("ok")


def _model_check(made: Made) -> dict[str, Check]:
    if made.local is None:
        return {}
    health = made.local.health
    if health.state == "ready":
        return {"local_model": Check("ok")}
    return {"local_model": Check("degraded", health.error or health.state)}


def _prices(loaded: Loaded, made: Made) -> Prices:
    configured: dict[str, Price] = {}
    for name, setting in loaded.settings.prices.items():
        try:
            configured[name] = price_of_setting(setting)
        except ValueError as error:
            raise ConfigurationError(f"The setting 'prices.{name}' is malformed: {error}.") from None
    hosts = {plan.name: plan.prices for plan in made.plans.values() if plan.prices}
    free = frozenset(name for name, plan in made.plans.items() if plan.kind in {"local", "scripted"})
    return Prices(configured=configured, hosts=hosts, free=free)


def _routing(loaded: Loaded, made: Made) -> Routing:
    routing = Routing(plans=made.plans, providers=made.providers, naming=_naming(loaded, made))
    try:
        routing.check()
    except Invalid as error:
        raise ConfigurationError(error.message) from None
    return routing


def _naming(loaded: Loaded, made: Made) -> Naming:
    settings = loaded.settings
    default = settings.default_model
    if not default and made.local is not None:
        default = f"{LOCAL}/{made.local.name}"
    return Naming(settings.aliases, default, settings.default_provider, settings.enforce_default)


def _configured_models(loaded: Loaded, made: Made) -> frozenset[str]:
    settings = loaded.settings
    named = {f"{plan.name}/{model}" for plan in made.plans.values() for model in plan.models}
    chains = {model for chain in settings.aliases.values() for model in chain}
    return frozenset({*named, *chains, *settings.prices, _naming(loaded, made).default_model})
