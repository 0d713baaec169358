"""Times: integer microseconds since 1970 in UTC inside, RFC 3339 with milliseconds outside."""

import time
from datetime import UTC, datetime
from typing import Final

SECOND: Final = 1_000_000


def now_us() -> int:
    """Give the time of day in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def rfc3339(micros: int) -> str:
    """Write a time as `2026-11-21T10:00:00.123Z`."""
    seconds, rest = divmod(micros, SECOND)
    stamp = datetime.fromtimestamp(seconds, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{rest // 1000:03d}Z"
