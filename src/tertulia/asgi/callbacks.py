"""Calling what others registered, such that one that fails harms neither the rest nor the connection."""

import logging
from collections.abc import Callable, Iterable

_log = logging.getLogger(__name__)


def call_each(calls: Iterable[Callable[[], None]]) -> None:
    """Call each; what one raises is logged."""
    for call in calls:
        try:
            call()
        except Exception:  # noqa: BLE001 - these run in the transport's callbacks, where nobody could catch it
            _log.exception("a callback of a connection failed")
