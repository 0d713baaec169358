"""The title of a conversation that nobody has named."""

from typing import Final

UNTITLED: Final = "New chat"
_WORDS: Final = 5
_CHARACTERS: Final = 255


def title_of(first_user_text: str) -> str:
    """Take the first five words, and `...` where there are more."""
    words = first_user_text[:20_000].split(maxsplit=_WORDS)
    if not words:
        return UNTITLED
    title = " ".join(words[:_WORDS])
    more = "..." if len(words) > _WORDS else ""
    return title[: _CHARACTERS - len(more)] + more


def preview_of(text: str) -> str:
    """Take the first line's worth of a text, for lists."""
    return " ".join(text[:400].split())[:120]
