"""Server-sent events as we write them (HTML Living Standard, 9.2)."""

from typing import Final

HEARTBEAT: Final = b": heartbeat\n"
"""A comment line, without the blank line that would end an event.

Clients that keep the last id (the official SDKs do) take a blank line after it for an event with empty data, which they
then fail to read as JSON.
"""

DONE: Final = b"data: [DONE]\n\n"


def comment(text: str) -> bytes:
    """Write a comment line, as `HEARTBEAT` is written."""
    return b": %b\n" % text.encode()


def frame(name: bytes, data: bytes, number: int | None = None) -> bytes:
    """Write a named event; with a number, the last frame of its entry."""
    if number is None:
        return b"event: %b\ndata: %b\n\n" % (name, data)
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, name, data)
