"""What a generation used, where nobody counted to the end."""

import msgspec

from tertulia.turn.fold import Fold
from tertulia.turn.usage import Usage, estimate_tokens


def estimated_usage(prompt: int, folded: Fold) -> Usage:
    """Estimate from what came, never below what the provider has counted so far; flagged.

    `prompt` is our own estimate of the prompt's tokens.
    """
    seen = folded.usage if folded.usage is not None and plausible(folded.usage) else Usage()
    completion = estimate_tokens(sum(choice.size for choice in folded.choices()))
    return msgspec.structs.replace(
        seen, prompt=seen.prompt or prompt, completion=max(seen.completion, completion), estimated=True
    )


def plausible(usage: Usage) -> bool:
    """Tell whether a provider's count can be one."""
    parts = (usage.prompt, usage.completion, usage.cached, usage.cache_write, usage.reasoning)
    return all(0 <= part < 1 << 31 for part in parts)
