"""The collector's part of latency."""

import gc
from typing import Final

_OLDEST_THRESHOLD: Final = 100


def freeze_memory() -> None:
    """Take what start-up made out of the collector's sight, and let it look at the oldest objects less often."""
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(max(young, 5000), middle, _OLDEST_THRESHOLD)
