"""World books as files of other programs: read whichever it is, write the one asked for. Source: characters, 3.9."""

from tertulia.worldbooks.formats.files import FORMATS, Imported, UnreadableLorebook, read_lorebook, write_lorebook

__all__ = ["FORMATS", "Imported", "UnreadableLorebook", "read_lorebook", "write_lorebook"]
