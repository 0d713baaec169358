"""Writes CHARX: the archive that the card came in with its `card.json` anew, or a new one."""

import re
from collections.abc import Iterable
from typing import Final

from tertulia.characters.cards.archive import Archive, open_archive
from tertulia.characters.cards.archive_writing import new_archive, with_members
from tertulia.characters.cards.card import Card, EmbeddedFile
from tertulia.characters.cards.charx import CARD, member_path
from tertulia.characters.cards.conversion import Spec, distinct, relocate, tree_for
from tertulia.characters.cards.pictures import extension_of
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.shapes import Shape
from tertulia.characters.cards.tree import Object, dump

_FOLDERS: Final[dict[str, str]] = {
    ext: folder
    for folder, exts in {
        "images": "png apng jpg jpeg webp gif avif bmp svg",
        "audio": "mp3 ogg oga wav flac m4a opus",
        "video": "mp4 webm mov mkv",
        "l2d": "moc moc3",
        "3d": "glb gltf vrm fbx obj",
        "ai": "safetensors ckpt onnx pt",
        "fonts": "ttf otf woff woff2",
        "code": "js lua css html py",
    }.items()
    for ext in exts.split()
}
_TYPES: Final = frozenset({"icon", "background", "emotion", "user_icon"})
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def write(
    card: Card,
    spec: Spec | None,
    portrait: bytes | None,
    files: tuple[EmbeddedFile, ...],
    container: bytes | memoryview | None,
    remarks: Remarks,
) -> bytes:
    """Return an archive with the card; see `writing.write_card`. Raises CardError for a container that is none."""
    kept = spec is None and card.shape in {Shape.V2, Shape.V3} and container is not None
    tree = tree_for(card, None if kept else spec or Spec.V3, remarks)
    if container is not None:
        archive = open_archive(memoryview(container).cast("B"))
        changes = _new_portrait(tree, archive, portrait, files)
        return with_members(archive, {CARD: dump(tree), **changes})
    members = dict(_placed(tree, portrait, files))
    return new_archive({CARD: dump(tree), **members})


def _new_portrait(
    tree: Object, archive: Archive, portrait: bytes | None, files: tuple[EmbeddedFile, ...]
) -> dict[str, bytes]:
    """Return the member that a new portrait replaces or adds, if it is another than the archive's."""
    if portrait is None:
        return {}
    icon = next((file for file in files if file.type == "icon" and file.name == "main"), None)
    if icon is not None and (path := member_path(icon.uri)) in archive.members:
        return {} if archive.read(path) == portrait else {path: portrait}
    ext = extension_of(portrait)
    path = f"assets/icon/images/main.{ext}"
    relocate(tree, _portrait_file(portrait, ext), f"embeded://{path}")
    return {path: portrait}


def _placed(tree: Object, portrait: bytes | None, files: tuple[EmbeddedFile, ...]) -> Iterable[tuple[str, bytes]]:
    """Yield path and content of every file, and point the tree's assets at them."""
    taken: set[str] = set()
    if portrait is not None and not any(_is_main(file) for file in files):
        files = (_portrait_file(portrait, extension_of(portrait)), *files)
    for file in distinct(files):
        content = portrait if _is_main(file) and portrait is not None else file.load()
        path = _free_path(file, taken)
        relocate(tree, file, f"embeded://{path}")
        yield path, content


def _is_main(file: EmbeddedFile) -> bool:
    return file.type == "icon" and file.name == "main"


def _portrait_file(portrait: bytes, ext: str) -> EmbeddedFile:
    return EmbeddedFile("ccdefault:", "icon", "main", ext, len(portrait), lambda: portrait)


def _free_path(file: EmbeddedFile, taken: set[str]) -> str:
    folder = file.type if file.type in _TYPES else "other"
    ext = _UNSAFE.sub("", file.ext).lower() or "unknown"
    stem = _UNSAFE.sub("-", file.name).strip("-")[:80] or "file"
    base = f"assets/{folder}/{_FOLDERS.get(ext, 'other')}/{stem}"
    number = 1
    while (path := f"{base}{'' if number == 1 else f'-{number}'}.{ext}") in taken:
        number += 1
    taken.add(path)
    return path
