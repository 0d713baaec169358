"""Tokens of a reply, as the camelCase faces write them."""

import msgspec

from tertulia.turn.usage import Usage


class UsageShown(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Tokens of a reply; `estimated` where the provider did not count them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


def usage_shown(usage: Usage) -> UsageShown:
    """Write usage as status and events do."""
    return UsageShown(usage.prompt, usage.completion, usage.total, usage.cached, usage.reasoning, usage.estimated)
