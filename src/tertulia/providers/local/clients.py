"""The package clients that the user has, to fetch a wheel with: pip and uv.

Going through them and not to an index of our own choosing keeps what is configured for them: mirrors, proxies,
certificates, credentials. pip can fetch the wheel itself. uv cannot; it unpacks it into a folder, and is given the
digest that the wheel must have.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import msgspec

CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+@")


class Client(msgspec.Struct, frozen=True):
    """A package client: how it is called, and which of the two it is."""

    kind: Literal["pip", "uv"]
    command: tuple[str, ...]


class Wanted(msgspec.Struct, frozen=True):
    """A wheel by name and version, and its digest."""

    requirement: str
    sha256: str


def clients() -> list[Client]:
    """Find the clients, nearest first: those of this environment, then those of the user."""
    found: list[Client] = []
    if find_spec("pip") is not None:
        found.append(Client("pip", (sys.executable, "-m", "pip")))
    if find_spec("uv") is not None:
        found.append(Client("uv", (sys.executable, "-m", "uv")))
    own = Path(sys.executable).parent
    kinds: tuple[Literal["uv", "pip"], ...] = ("uv", "pip")
    for kind in kinds:
        path = shutil.which(kind)
        if path is not None and Path(path).parent != own:
            found.append(Client(kind, (path,)))
    return found


def command(client: Client, wanted: Wanted, staging: Path) -> Sequence[str]:
    """Write the command that puts the wheel (pip), or what is in it (uv), into `staging/fetched`.

    Everything that it writes on the way is inside `staging`, so that progress can be seen and nothing stays.
    """
    target = str(staging / "fetched")
    if client.kind == "pip":
        return (
            *(*client.command, "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"),
            *("--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--dest", target),
            wanted.requirement,
        )
    listed = staging / "requirements.txt"
    listed.write_text(f"{wanted.requirement} --hash=sha256:{wanted.sha256}\n")
    return (
        *(*client.command, "pip", "install", "--no-deps", "--only-binary", ":all:", "--require-hashes"),
        *("--python", sys.executable, "--cache-dir", str(staging / "cache"), "--target", target),
        *("-r", str(listed)),
    )


def begin(client: Client, wanted: Wanted, staging: Path) -> "subprocess.Popen[bytes]":
    """Start the client; what it prints goes to `staging/output`."""
    temporary = staging / "temporary"
    temporary.mkdir(exist_ok=True)
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    with (staging / "output").open("wb") as output:
        return subprocess.Popen(  # noqa: S603  # a program of the user's own, arguments of ours
            command(client, wanted, staging),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **places, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"},
        )


def said(staging: Path) -> str:
    """Give what the client printed, without the credentials that an address in it may hold."""
    text = (staging / "output").read_text(errors="replace")
    return CREDENTIALS.sub("", text)
