"""Why a file is refused. Each refusal is typed, says what to do, and carries nothing of the file's content."""

from typing import ClassVar, Literal

from tertulia.kernel.errors import Kind, TertuliaError

Reason = Literal[
    "alias_expansion",  # YAML aliases that multiply
    "encrypted",
    "image_mismatch",  # an export was handed a picture of another format
    "lying_size",  # an archive member is not what its header says
    "no_card",
    "not_a_card",
    "ratio",  # compressed beyond what honest data reaches
    "size",
    "too_deep",
    "too_many",  # values, chunks, members
    "truncated",
    "undecodable",
    "unknown_format",
    "unsafe_member",  # a path that leaves its archive, a symbolic link, a name twice
    "unsafe_tag",  # a YAML tag that asks for more than plain data
]

HOSTILE: frozenset[Reason] = frozenset(
    {"alias_expansion", "lying_size", "ratio", "size", "too_deep", "too_many", "unsafe_member", "unsafe_tag"}
)
"""Reasons after which nothing else in the same file is tried."""


class CardError(TertuliaError):
    """A card file that cannot be taken: damaged, hostile, or no card. `reason` is stable, `path` a place in it."""

    kind = Kind.INVALID
    code = "invalid"

    def __init__(self, reason: Reason, message: str, *, path: str = "") -> None:
        listed = {"errors": [{"path": path, "message": message}]} if self.code == CardError.code else None
        super().__init__(message, details=listed)
        self.reason: Reason = reason
        self.path = path

    @property
    def hostile(self) -> bool:
        """Whether the file attacks its reader, so that no fallback may be tried on it."""
        return self.reason in HOSTILE


class CardTooLargeError(CardError):
    """The file, or what it unpacks to, is over a limit in bytes."""

    kind = Kind.TOO_LARGE
    code = "body_too_large"


class MissingCharacterDataError(CardError):
    """A readable file without a character in it; `can_import_image_only` says that a picture is there."""

    code: ClassVar[str] = "missing_character_data"

    def __init__(self, message: str, *, can_import_image_only: bool) -> None:
        super().__init__("no_card", message)
        self.can_import_image_only = can_import_image_only
        self.details = {"can_import_image_only": can_import_image_only}


class UnknownCardFormatError(CardError):
    """Neither the content nor the file name belongs to a format that is read here."""

    kind = Kind.UNSUPPORTED_MEDIA
    code = "unsupported_media_type"

    def __init__(self, message: str) -> None:
        super().__init__("unknown_format", message)
