"""The OpenAI face: chat completions and the list of models."""

from functools import partial
from typing import Final

import msgspec
from msgspec import UNSET

from tertulia.asgi.body import require_media
from tertulia.asgi.exchange import Answer, Exchange, json_answer
from tertulia.asgi.route import Parameter, Route
from tertulia.conversations.opening import open_conversation
from tertulia.faces.openai.decode import ChatRequest, decode_chat
from tertulia.faces.openai.encode import ChunkEncoder, completion
from tertulia.faces.openai.headers import headers_of
from tertulia.faces.openai.shapes import ModelList, ModelObject
from tertulia.generation.failed import GenerationFailed
from tertulia.generation.follow import Follower
from tertulia.generation.order import OnDisconnect, Order
from tertulia.generation.runner import Run
from tertulia.generation.start import Generations
from tertulia.identity.principal import Principal
from tertulia.kernel.clock import SECOND, now_us
from tertulia.kernel.errors import Forbidden, Kind, TertuliaError
from tertulia.kernel.ids import id_text, new_id
from tertulia.kernel.secret import Secret
from tertulia.models.names import ModelNotFound
from tertulia.providers.port import Target
from tertulia.providers.routing import Routing
from tertulia.turn.ending import Cancel
from tertulia.turn.request import Request
from tertulia.wire.chat_body import ChatBody
from tertulia.wire.openai_chat import Completion
from tertulia.wire.sizes import Sizes

_CHAT_TAGS: Final = ("OpenAI",)


class UnsupportedParameter(TertuliaError):
    """A parameter that this server, or with `strict_params` the provider, does not take."""

    kind = Kind.MALFORMED
    code = "unsupported_parameter"


class UnknownTool(TertuliaError):
    """A server tool that the provider has not."""

    kind = Kind.MALFORMED
    code = "unknown_tool"


class PlanForbids(Forbidden):
    """The caller may not ask for this priority."""

    code = "plan_forbids"


class Defaults(msgspec.Struct, frozen=True):
    """What holds where a request does not say: whether it is kept, and what the client's leaving does."""

    save: bool
    on_disconnect: OnDisconnect


def routes(
    *, generations: Generations, routing: Routing, sizes: Sizes, defaults: Defaults, started_at: int
) -> tuple[Route, ...]:
    """Make the routes of this face; every path also stands under `/api`."""

    async def complete(exchange: Exchange) -> Answer | None:
        require_media(exchange, b"application/json")
        chat = decode_chat(await exchange.body(), sizes)
        run = await generations.start(_order(exchange, chat, routing, defaults))
        _stop_when_left(exchange, run)
        if chat.stream:
            return await _stream(exchange, run, chat)
        return await _whole(run)

    async def models(_: Exchange) -> Answer:
        return json_answer(ModelList(data=await _listed(routing, started_at)))

    async def model(exchange: Exchange) -> Answer:
        wanted = exchange.params["id"]
        for found in await _listed(routing, started_at):
            if found.id == wanted:
                return json_answer(found)
        raise ModelNotFound(f"There is no model {wanted[:200]!r}. GET /v1/models lists what there is.")

    made: list[Route] = []
    for base in ("", "/api"):
        made += [
            Route(
                method="POST",
                path=f"{base}/v1/chat/completions",
                handler=complete,
                access="user",
                scope="chat",
                meter="generation",
                body=ChatBody,
                answer=Completion,
                answer_type="application/json, text/event-stream",
                form="openai",
                hidden=bool(base),
                summary="Create a chat completion, whole or as a stream",
                tags=_CHAT_TAGS,
                parameters=(
                    Parameter("X-Provider-Key", where="header", summary="Your own key at the model's provider"),
                ),
                errors=("model_not_found", "provider_not_configured", "queue_full", "upstream_error"),
            ),
            Route(
                method="GET",
                path=f"{base}/v1/models",
                handler=models,
                access="user",
                scope="read",
                meter="none",
                form="openai",
                hidden=bool(base),
                answer=ModelList,
                summary="List the models that you may use",
                tags=_CHAT_TAGS,
            ),
            Route(
                method="GET",
                path=f"{base}/v1/models/{{id:path}}",
                handler=model,
                access="user",
                scope="read",
                meter="none",
                form="openai",
                hidden=bool(base),
                answer=ModelObject,
                summary="Show one model",
                tags=_CHAT_TAGS,
                errors=("model_not_found",),
            ),
        ]
    return tuple(made)


def _order(exchange: Exchange, chat: ChatRequest, routing: Routing, defaults: Defaults) -> Order:
    _require_built(chat)
    principal = exchange.principal
    _require_priority(principal, chat.priority)
    own = exchange.header(b"x-provider-key")
    first, targets = routing.targets(
        chat.model,
        api_provider=chat.api_provider,
        fallbacks=chat.fallbacks,
        own_key=Secret(own.decode("latin-1")) if own else None,
    )
    if chat.strict_params:
        _require_taken(routing, targets[0], chat.request)
    generation_id, at = new_id(), now_us()
    model = chat.model or first.full
    save = chat.save if chat.save is not None else defaults.save
    open_turn = partial(
        open_conversation,
        chat.request,
        user_id=principal.user_id,
        generation_id=generation_id,
        model=model,
        source="api",
        at=at,
    )
    return Order(
        generation_id=generation_id,
        principal=principal,
        request=chat.request,
        targets=targets,
        model=model,
        face="openai",
        created_at=at,
        request_id=exchange.request_id,
        open_turn=(lambda status: open_turn(status=status)) if save else None,
        priority=chat.priority,
        on_disconnect=chat.on_disconnect or defaults.on_disconnect,
    )


def _require_built(chat: ChatRequest) -> None:
    """Refuse what this version cannot honour, rather than answer as if it had."""
    wanted = {
        "character_id": chat.character_id,
        "conversation_id": chat.conversation_id,
        "parent_message_id": None if chat.parent_message_id is UNSET else chat.parent_message_id,
        "prompt_template_name": chat.prompt_template_name,
        "dictionary_ids": chat.dictionary_ids,
        "world_book_ids": chat.world_book_ids,
    }
    for name, value in wanted.items():
        if value:
            raise UnsupportedParameter(f"This version does not know {name} yet; leave it out.")
    if chat.server_tools:
        raise UnknownTool(f"The provider has no server tool {chat.server_tools[0]!r}; send a function instead.")


def _require_taken(routing: Routing, target: Target, request: Request) -> None:
    dropped = routing.dropped(target, request)
    if dropped:
        raise UnsupportedParameter(f"{target.provider} does not take {', '.join(dropped)} (strict_params is on).")


def _require_priority(principal: Principal, priority: str) -> None:
    if priority in {"high", "critical"} and not principal.at_least("supervisor"):
        if f"priority:{priority}" in principal.scopes:
            return
        raise PlanForbids(f"You may not ask for the priority {priority!r}; ask for 'normal' or 'low'.")


def _stop_when_left(exchange: Exchange, run: Run) -> None:
    if not run.order.cancels_on_disconnect:
        return

    def stop() -> None:
        principal = run.order.principal
        run.cancel(Cancel(id_text(principal.user_id), principal.role, "the client left"))

    exchange.on_gone(stop)


async def _stream(exchange: Exchange, run: Run, chat: ChatRequest) -> Answer | None:
    await run.opened
    ended = run.log.ended
    if ended is not None and ended.outcome == "failed" and not ended.partial:
        raise GenerationFailed(run.started, ended)
    push = exchange.stream(200, headers_of(run))
    usage = chat.include_usage
    Follower(
        run.log, run.encodings, push=push, variant=("openai", usage), make=lambda: ChunkEncoder(include_usage=usage)
    )
    return None


async def _whole(run: Run) -> Answer:
    ended = await run.over
    if ended.outcome in {"failed", "interrupted"}:
        raise GenerationFailed(run.started, ended)
    choices = run.ending.choices if run.ending else run.fold().choices()
    body = completion(run.started, choices, ended)
    return Answer(200, body, headers=tuple(headers_of(run)))


async def _listed(routing: Routing, created_at: int) -> list[ModelObject]:
    created = created_at // SECOND
    listed = [
        ModelObject(id=f"{provider}/{model.id}", created=created, owned_by=provider)
        for provider, models in (await routing.listed()).items()
        for model in models
    ]
    listed += [ModelObject(id=alias, created=created, owned_by="tertulia") for alias in routing.aliases]
    return listed
