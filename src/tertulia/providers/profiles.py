"""What the known hosts and their models can take (Providers, 4.1 to 4.16).

A host that is not known gets what every server of its wire is known to take. Models are told apart by the start of
their names, which is how vendors version them; a model of a later generation is taken to be like its predecessor.
"""

import re
from collections.abc import Mapping
from typing import Final

from tertulia.providers.port import Profile

_SAMPLING: Final = frozenset({"temperature", "top_p", "top_k"})
_EFFORT: Final = frozenset({"reasoning_effort"})
_PLAIN: Final = Profile()

_OPENAI_REASONING: Final = Profile(
    refuses=frozenset(
        {
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "presence_penalty",
            "temperature",
            "top_logprobs",
            "top_p",
        }
    ),
    renames={"max_tokens": "max_completion_tokens"},
    system_role="developer",
)
_REASONS: Final = re.compile(r"(?:ft:)?(?:o[1-9]|gpt-(?:[5-9]|[1-9]\d))(?![0-9])")
_CHATS: Final = re.compile(r"(?:ft:)?gpt-5(?:\.\d+)?-chat")
"""The chat models of that family sample like the older ones."""

_GROQ: Final = Profile(refuses=frozenset({"logit_bias", "logprobs", "n", "top_logprobs"}), names=False)
_FOLDED: Final = Profile(names=False)

_CLAUDE: Final = re.compile(
    r"claude-(?:(?P<old>\d)(?:[.-](?P<minor>\d))?-)?(?P<name>opus|sonnet|haiku|instant|[a-z]+)"
    r"(?:-(?P<major>\d{1,2})(?:[.-](?P<point>\d{1,2}))?)?(?![0-9])"
)
_ADAPTIVE_SINCE: Final[Mapping[str, tuple[int, int]]] = {"opus": (4, 7), "sonnet": (5, 0), "haiku": (5, 5)}
"""From these on a Claude thinks by effort and refuses sampling (Providers, 4.3)."""
_GEMINI: Final = re.compile(r"(?:models/)?gemini-(?P<major>\d+)(?:\.(?P<point>\d+))?")


def profile_of(host: str, model: str) -> Profile:
    """Give what a model of a host takes. `host` is its name in `hosts.HOSTS`; any other is nobody in particular.

    `model` is the name at the host, without the provider's.
    """
    if host == "openai":
        return _openai(model)
    if host == "anthropic":
        return _claude(model)
    if host == "gemini":
        return _gemini(model)
    return _BY_HOST.get(host, _PLAIN)


_BY_HOST: Final[Mapping[str, Profile]] = {
    "deepseek": _FOLDED,
    "fireworks": _FOLDED,
    "groq": _GROQ,
    "together": _FOLDED,
}
"""Only OpenAI and OpenRouter are known to take `name` (Providers, 4.0 "Roles")."""


def _openai(model: str) -> Profile:
    return _OPENAI_REASONING if _REASONS.match(model) and not _CHATS.match(model) else _PLAIN


def _claude(model: str) -> Profile:
    """Give a Claude's: by effort and without sampling from the generation that wants it so, by a budget before that.

    The caps are what every model of the generation can write.
    """
    found = _CLAUDE.match(model)
    if found is None:
        return Profile(thinking="budget")
    version = _version(found)
    if version >= _ADAPTIVE_SINCE.get(found["name"], (5, 0)):
        return Profile(refuses=_SAMPLING, max_output=32_000)
    if version >= (3, 7):
        return Profile(thinking="budget", max_output=32_000)
    return Profile(refuses=_EFFORT, max_output=8192 if version >= (3, 5) else 4096)


def _gemini(model: str) -> Profile:
    """Give a Gemini's: levels of thought since the third generation, a budget in 2.5, no thought before."""
    found = _GEMINI.match(model)
    if found is None or int(found["major"]) >= 3:
        return _PLAIN
    thinks = (int(found["major"]), int(found["point"] or 0)) >= (2, 5)
    return Profile(thinking="budget") if thinks else Profile(refuses=_EFFORT)


def _version(found: re.Match[str]) -> tuple[int, int]:
    """Give a Claude's version: it stands before the name up to the third generation, and after it since."""
    if found["old"]:
        return int(found["old"]), int(found["minor"] or 0)
    return int(found["major"] or 0), int(found["point"] or 0)
