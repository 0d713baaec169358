"""The shapes of the list of models."""

from typing import Literal

import msgspec


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the list; `created` is in seconds since 1970."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All models that the caller may use, aliases included."""

    object: Literal["list"] = "list"
    data: list[ModelObject]
