"""The row of usage that every call leaves, priced."""

from collections.abc import Callable, Iterable

import msgspec

from tertulia.accounting import rows
from tertulia.models.prices import Price
from tertulia.storage.statement import Bound
from tertulia.storage.writer import Storage
from tertulia.turn.ending import Ending

PriceOf = Callable[[str, str], Price | None]


def usage_recorder(price_of: PriceOf) -> Callable[[Ending], Iterable[Bound]]:
    """Make the contributor that records the usage of an ended generation.

    A model without a known price leaves `cost` empty: unknown is not free.
    """

    def record(ending: Ending) -> Iterable[Bound]:
        price = price_of(ending.provider, ending.provider_model)
        usage = ending.usage
        started = ending.started_at if ending.started_at is not None else ending.ended_at
        yield rows.insert_usage(
            ending.generation_id,
            "chat",
            ending.user_id,
            ending.key_id,
            ending.conversation_id,
            ending.provider,
            ending.provider_model,
            ending.ended_at,
            usage.prompt,
            usage.completion,
            usage.cached,
            usage.cache_write,
            usage.reasoning,
            sum(len(choice.images) for choice in ending.choices),
            ending.first_token_ms,
            (ending.ended_at - started) // 1000,
            price.cost(usage) if price else None,
            0,
            msgspec.json.encode(price).decode() if price else None,
            int(ending.own_key),
            int(usage.estimated),
            ending.outcome,
        )

    return record


async def usage_owner(storage: Storage, call_id: bytes) -> bytes | None:
    """Tell whose call this was; None where there was no such call."""
    found = await storage.fetch(rows.owner_of(call_id))
    return found[0][0] if found else None
