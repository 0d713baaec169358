"""OpenAI's parameters on their way into another wire: what was used, what is passed on, what is left out and named."""

from collections.abc import Mapping
from typing import Any, Final

from tertulia.providers.dialects.reading import Json, list_of
from tertulia.providers.port import Profile

_SETTLED: Final = frozenset({"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"})
"""What every wire writes in its own way before the parameters."""

_OPENAI_ONLY: Final = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "modalities",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "top_logprobs",
        "tool_choice",
        "user",
        "verbosity",
        "web_search_options",
    }
)
"""OpenAI's own parameters: a wire that has not used one does not know it. All others are the provider's, and pass."""


class Draft:
    """The parameters of one request while they are being written."""

    def __init__(self, parameters: Mapping[str, Any], profile: Profile) -> None:
        self._dropped: list[str] = [name for name in parameters if name in profile.refuses]
        refused = _SETTLED | profile.refuses
        self.parameters: Json = {
            name: value for name, value in parameters.items() if name not in refused and value is not None
        }

    @property
    def dropped(self) -> tuple[str, ...]:
        """What was left out, by the caller's names."""
        return tuple(dict.fromkeys(self._dropped))

    def take(self, name: str) -> Any:
        """Take a parameter out, to be written in the wire's way; None when it is not there."""
        return self.parameters.pop(name, None)

    def drop(self, name: str) -> None:
        """Note that a parameter was left out."""
        self._dropped.append(name)

    def copy_unknown(self, body: Json) -> None:
        """Pass on what is left, unless it is OpenAI's alone."""
        for name, value in self.parameters.items():
            if name in _OPENAI_ONLY:
                self._dropped.append(name)
            else:
                body[name] = value


def stop_sequences(value: Any) -> list[str]:
    """Give `stop` as a list, whichever form it has."""
    words = [value] if isinstance(value, str) else list_of(value)
    return [word for word in words if isinstance(word, str) and word]
