"""`[local_model]`: the embedded model's settings (Operation, Settings)."""

import msgspec


class LocalModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`enabled`: absent means on where the model is installed. `path`: a GGUF file to use in place of the found one."""

    enabled: bool | None = None
    path: str = ""
