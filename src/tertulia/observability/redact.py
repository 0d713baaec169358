"""Keep credentials out of whatever is written."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

_NAMES: Final = re.compile(
    r"authorization|api[-_]?key|x-provider-key|cookie|password|secret|token$|credential|ticket", re.IGNORECASE
)
_VALUES: Final = re.compile(
    r"(?i)(bearer\s+)[\w.~+/=-]{8,}|\b((?:sk|tt|pk|gsk|xai|hf|AIza)[-_][\w-]{8,})|([?&](?:key|token|ticket)=)[^&\s]+"
)
_IN_URL: Final = re.compile(r"(?i)(?<=:)[^:@/]*(?=@)|(?<=[?&])((?:[\w-]*(?:password|key|token|secret))=)[^&#]*")
MASK: Final = "***"


def redact_text(text: str) -> str:
    """Mask what looks like a credential within a text."""
    return _VALUES.sub(lambda found: (found.group(1) or found.group(3) or "") + MASK, text)


def redact_url(url: str) -> str:
    """Mask the password of an address, and what in its query is named like a credential."""
    return _IN_URL.sub(lambda found: (found.group(1) or "") + MASK, url)


def redact_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Mask the values of fields that are named like credentials, and credentials within other texts."""
    return {name: MASK if _NAMES.search(name) and value else _redact(value) for name, value in fields.items()}


def _redact(value: Any) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return redact_fields({str(key): inner for key, inner in cast("Mapping[Any, Any]", value).items()})
    if isinstance(value, list | tuple):
        return [_redact(inner) for inner in cast("Sequence[Any]", value)]
    return value
