"""What an error of Postgres means for the caller."""

from typing import Final

from tertulia.kernel.errors import TertuliaError
from tertulia.storage.line import Fault
from tertulia.storage.writer import StorageRejected, StorageUnavailable

_TRANSIENT: Final = frozenset(("40001", "40P01"))
_UNAVAILABLE: Final = {
    "08": "the connection failed",
    "25006": "it is read-only",
    "40": "other writers were in the way",
    "53100": "the disk is full",
    "53": "the server is short of resources",
    "55P03": "another program holds a lock",
    "55": "an object is in use",
    "57": "the server stopped the statement",
    "58": "the disk reports an error",
    "XX": "the server reports an inner error",
}
"""What the operator must look for, by SQLSTATE or its class (PostgreSQL manual, appendix A)."""
_STALE: Final = frozenset(("0A000", "26000"))
_TELLS_NO_VALUE: Final = frozenset(("23", "42"))


def is_transient(fault: Fault) -> bool:
    """Whether the same again may go through: a deadlock, a failed serialisation."""
    return fault.state in _TRANSIENT


def is_stale(fault: Fault) -> bool:
    """Whether the prepared statement no longer fits, because the schema has changed or a pooler has lost it."""
    return fault.state in _STALE


def typed(fault: Fault) -> TertuliaError:
    """Say as an error of ours what the server answered; messages that may repeat a value stay out of it."""
    group = fault.state[:2]
    reason = _UNAVAILABLE.get(fault.state) or _UNAVAILABLE.get(group)
    if reason is not None:
        return StorageUnavailable(f"The database cannot be used now: {reason}.", sqlstate=fault.state)
    message = fault.message if group in _TELLS_NO_VALUE else "a value does not fit"
    details = {"sqlstate": fault.state} | ({"constraint": fault.constraint} if fault.constraint else {})
    return StorageRejected(f"Postgres refused a statement: {message}", details=details)
