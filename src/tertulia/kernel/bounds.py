"""Numbers that a setting may have."""

from typing import Annotated

from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0)]
"""A time that must pass: 0 would spin or end everything at once."""
AtLeastOne = Annotated[int, Meta(ge=1)]
"""A count or a size of which none would be no service."""
