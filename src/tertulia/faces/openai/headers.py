"""The headers of an answer: which generation it is, who answered, what was left out (HTTP contract, OpenAI face)."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from tertulia.generation.runner import Run

_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_MOST_DROPPED: Final = 1024
_AND_MORE: Final = b", ..."


def headers_of(run: Run) -> list[tuple[bytes, bytes]]:
    """Give the headers of a generation's answer."""
    headers = [
        (b"x-generation-id", run.order.id_text.encode()),
        (b"x-provider", header_text(run.target.provider)),
        (b"x-model", header_text(run.target.model)),
    ]
    started = run.started
    if started.conversation_id and started.message_id:
        headers.append((b"x-conversation-id", started.conversation_id.encode()))
        headers.append((b"x-message-id", started.message_id.encode()))
    if run.dropped:
        headers.append((b"x-dropped-params", dropped_text(run.dropped)))
    return headers


def header_text(text: str) -> bytes:
    """Write a text as a header's value: printable ASCII as it is, all else percent-encoded UTF-8."""
    return quote(text, safe=_PRINTABLE, errors="replace").encode("ascii")


def dropped_text(names: Sequence[str]) -> bytes:
    """List names that a caller chose in at most 1 KiB; `...` stands for those that found no room."""
    whole = b", ".join(map(header_text, names))
    if len(whole) <= _MOST_DROPPED:
        return whole
    kept = whole[: _MOST_DROPPED - len(_AND_MORE) + 1].rpartition(b", ")[0]
    return kept + _AND_MORE if kept else b"..."
