"""Usage as the many hosts of this wire report it (Providers, 4.0 "Usage")."""

from tertulia.providers.dialects.reading import Json, cost_of, count_of, dict_of
from tertulia.turn.usage import Usage


def usage_of(fields: Json) -> Usage | None:
    """Read a usage object, in snake_case or as its camelCase twin; None when it counts nothing."""
    prompt = count_of(fields, "prompt_tokens", "promptTokens", "input_tokens")
    completion = count_of(fields, "completion_tokens", "completionTokens", "output_tokens")
    total = count_of(fields, "total_tokens", "totalTokens")
    if prompt is None and completion is None and total is None:
        return None
    completion = completion or 0
    prompt = prompt if prompt is not None else max((total or 0) - completion, 0)
    into = dict_of(fields.get("prompt_tokens_details") or fields.get("promptTokensDetails"))
    out = dict_of(fields.get("completion_tokens_details") or fields.get("completionTokensDetails"))
    reasoning = count_of({**fields, **out}, "reasoning_tokens", "reasoningTokens") or 0
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning  # xAI counts thinking beside the completion, everybody else within it
    cost = fields.get("cost")
    return Usage(
        prompt=prompt,
        completion=completion,
        cached=count_of({**fields, **into}, "cached_tokens", "cachedTokens", "prompt_cache_hit_tokens") or 0,
        cache_write=count_of({**fields, **into}, "cache_write_tokens", "cache_creation_tokens") or 0,
        reasoning=reasoning,
        cost_usd=cost_of(dict_of(cost).get("total_cost") if isinstance(cost, dict) else cost),
    )
