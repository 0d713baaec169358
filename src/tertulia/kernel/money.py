"""Money: integers of 10⁻⁹ credit inside, decimal strings outside."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

NANO: Final = 1_000_000_000
_LIMIT: Final = 10**18  # a billion credits: within 64 bits with room for sums


def credits_text(nano: int) -> str:
    """Write an amount as an exact decimal string without trailing zeros: `1500000000` is `"1.5"`."""
    sign = "-" if nano < 0 else ""
    whole, rest = divmod(abs(nano), NANO)
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


def parse_credits(text: str) -> int:
    """Read an amount of at least 0.

    Raises `ValueError` for what is not a finite, non-negative decimal with at most nine places.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a decimal number") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"{text!r} must be a number of at least 0")
    nano = value * NANO
    if nano != nano.to_integral_value() or nano > _LIMIT:
        raise ValueError(f"{text!r} must have at most nine decimal places and be at most {_LIMIT // NANO}")
    return int(nano)


def round_half_up(amount: Decimal) -> int:
    """Round an amount of nano-credits to a whole one, halves up: once for each row of usage."""
    return int(amount.to_integral_value(rounding=ROUND_HALF_UP))
