"""Ratios of interleaved pairs, as the median with an interval that assumes nothing of their distribution."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """A median between two of its order statistics; `coverage`: the interval's confidence, 0 to 1."""

    median: float
    low: float
    high: float
    coverage: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}-{self.high:.2f}]"


def paired(ours: Sequence[float], reference: Sequence[float]) -> Ratio | None:
    """Return the ratio of values taken in pairs, one after the other; None without a pair."""
    ratios = sorted(a / b for a, b in zip(ours, reference, strict=False) if b)
    if not ratios:
        return None
    rank = _rank(len(ratios))
    return Ratio(statistics.median(ratios), ratios[rank - 1], ratios[-rank], _coverage(len(ratios), rank))


def median(values: Sequence[float]) -> float:
    """Return the median; of nothing: 0."""
    return statistics.median(values) if values else 0.0


def _rank(count: int) -> int:
    """Return the innermost rank from either end that still covers 95 %; the outermost where none does."""
    return max((rank for rank in range(1, (count + 1) // 2 + 1) if _coverage(count, rank) >= 0.95), default=1)


def _coverage(count: int, rank: int) -> float:
    """Return the chance that the true median lies between the rank-th values from both ends (sign test)."""
    return 1 - 2 * sum(math.comb(count, n) for n in range(rank)) / 2**count
