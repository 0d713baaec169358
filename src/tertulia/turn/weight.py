"""What an event weighs: the bytes of it that a provider chose."""

import msgspec

from tertulia.turn.events import Citation, Event, Image, Opaque, Reasoning, Refusal, Text, ToolCallDelta

_encode = msgspec.json.encode


def weight(event: Event) -> int:
    """Give the bytes of text, thinking, arguments, images and whatever else a delta carries; 0 for what is ours."""
    if isinstance(event, Text | Reasoning):
        size = _bytes(event.text)
        if isinstance(event, Text) and event.logprobs is not None:
            size += len(_encode(event.logprobs))
    elif isinstance(event, ToolCallDelta):
        size = len(event.arguments) + len(event.name or "") + len(event.id or "")
    elif isinstance(event, Refusal):
        size = _bytes(event.text)
    elif isinstance(event, Image):
        size = len(event.url)
    elif isinstance(event, Citation | Opaque):
        return len(_encode(event.data))
    else:
        return 0
    opaque = getattr(event, "opaque", None)
    return size + len(_encode(opaque)) if opaque else size


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
