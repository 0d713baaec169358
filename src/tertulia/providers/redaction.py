"""Take out of a provider's text what a caller must not see: keys, addresses, URLs."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tertulia.kernel.secret import Secret
from tertulia.providers.port import Failure

MESSAGE_CAP: Final = 1000
_TELLING: Final = 8

_SECRETS: Final = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE), "[url]"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "[address]"),
    (re.compile(r"\b(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+):\d{2,5}\b", re.IGNORECASE), "[address]"),
    (re.compile(r"\bbearer\s+[^\s\"',]+", re.IGNORECASE), "Bearer ***"),
    (
        re.compile(
            r"((?:api|access|secret)[-_ ]?(?:key|token)(?: provided)?|authorization|password|secret)"
            r"(\"?\s*[:=]\s*\"?)[^\s\"',]+",
            re.IGNORECASE,
        ),
        r"\1\2***",
    ),
    (re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|fw|pplx|tgp|nvapi|csk|key)[-_][A-Za-z0-9_*.-]{6,}"), "***"),
    (re.compile(r"\b(?:AIza[\w-]{10,}|ya29\.\S+|A[KS]IA[A-Z0-9]{12,}|eyJ[\w-]{8,}\.[\w.-]+)"), "***"),
    (re.compile(r"(?<![A-Za-z0-9+_])(?=[A-Za-z+_]*\d)[A-Za-z0-9+_]{32,}={0,2}"), "***"),
)


def redacted(text: str) -> str:
    """Take keys, addresses and URLs out of upstream text, and cap its length."""
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return text if len(text) <= MESSAGE_CAP else text[:MESSAGE_CAP] + "…"


class Scrub:
    """Takes the key in use and the host's name out of a failure; the start of the key is enough to recognise it."""

    __slots__ = ("_base_url", "_key")

    def __init__(self, key: Secret | None, base_url: str) -> None:
        self._key = key
        self._base_url = base_url

    def failure(self, failure: Failure) -> Failure:
        """Give the failure without them."""
        patterns = [re.escape(urlsplit(self._base_url).netloc), _key_pattern(self._key)]
        pattern = re.compile("|".join(filter(None, patterns)) or r"(?!)")
        said = failure.fault
        details = {name: _masked(pattern, value) for name, value in (said.details or {}).items()}
        told = msgspec.structs.replace(said, message=_masked(pattern, said.message), details=details or None)
        return msgspec.structs.replace(failure, fault=told)


def _key_pattern(key: Secret | None) -> str:
    """Match a key by its start, in case the text was cut within it; a short one only as a word of its own."""
    value = key.reveal() if key else ""
    if len(value) < _TELLING:
        return rf"(?<!\w){re.escape(value)}(?!\w)" if value else ""
    return re.escape(value[:_TELLING]) + r"\S*"


def _masked(pattern: re.Pattern[str], value: Any) -> Any:
    return pattern.sub("***", value) if isinstance(value, str) else value
