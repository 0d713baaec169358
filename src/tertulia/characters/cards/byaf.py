"""BYAF, the archive of Backyard AI, read as a V2 card ("Compatibility specification, 2.1")."""

import re
from pathlib import PurePosixPath
from typing import Any, Final

from tertulia.characters.cards.archive import Archive, normalised
from tertulia.characters.cards.byaf_chats import Scenario, opening_chat
from tertulia.characters.cards.card import Card, Character, EmbeddedFile
from tertulia.characters.cards.charx import check_members, main_icon, member_file
from tertulia.characters.cards.errors import CardError
from tertulia.characters.cards.fields import Asset, as_text
from tertulia.characters.cards.json_text import parse_json
from tertulia.characters.cards.limits import MAX_JSON_BYTES
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.shapes import SPEC_V2, Format, Shape
from tertulia.characters.cards.tree import Object, Tree, is_array, is_object

MANIFEST: Final = "manifest.json"
_MACROS: Final = (
    (re.compile(r"#\{user\}:", re.IGNORECASE), "{{user}}:"),
    (re.compile(r"#\{character\}:", re.IGNORECASE), "{{char}}:"),
    (re.compile(r"\{user\}(?!\})", re.IGNORECASE), "{{user}}"),
    (re.compile(r"\{character\}(?!\})", re.IGNORECASE), "{{char}}"),
)
_MAX_SCENARIOS: Final = 200


def read(archive: Archive, fallback_name: str, remarks: Remarks) -> Character:
    """Read the first character of a BYAF with its scenarios, pictures and chats.

    Raises CardError without a manifest, without characters, and for a first character that is missing or no JSON.
    """
    manifest = _json(archive, MANIFEST, remarks)
    paths = _paths(manifest.get("characters"))
    if not paths:
        raise CardError("not_a_card", "The archive's manifest.json names no character.", path=MANIFEST)
    if len(paths) > 1:
        remarks.add("more_characters", "The archive has several characters; the first one was read.")
    character = _json(archive, paths[0], remarks)
    check_members(archive, remarks)
    scenarios = _scenarios(archive, _paths(manifest.get("scenarios")), remarks)
    files = (*_images(archive, character, PurePosixPath(paths[0]), remarks), *_backgrounds(archive, scenarios))
    card = Card(Shape.V2, Tree(_card(character, scenarios, manifest.get("author"))), fallback_name)
    used = {MANIFEST, *paths[:1], *_paths(manifest.get("scenarios")), *(_path_of(file) for file in files)}
    return Character(
        card,
        Format.BYAF,
        (*remarks.as_tuple(), *card.reading[1]),
        portrait=main_icon(files),
        files=files,
        extra_members=tuple(name for name in archive.members if name not in used and not name.endswith("/")),
        chats=tuple(opening_chat(scenario) for scenario in scenarios if scenario.messages),
        scenarios=len(scenarios),
    )


def expand(text: str) -> str:
    """Return a text of Backyard AI with its macros written as a card writes them."""
    for pattern, macro in _MACROS:
        text = pattern.sub(macro, text)
    return text


def _json(archive: Archive, path: str, remarks: Remarks) -> Object:
    if path not in archive.members:
        raise CardError("not_a_card", f"The archive has no {path[:100]}.", path=path)
    return parse_json(archive.read(path, cap=MAX_JSON_BYTES), remarks).root


def _paths(value: Any) -> list[str]:
    return [normalised(path) for path in value if isinstance(path, str)] if is_array(value) else []


def _scenarios(archive: Archive, paths: list[str], remarks: Remarks) -> list[Scenario]:
    found: list[Scenario] = []
    budget = 2 * MAX_JSON_BYTES
    for path in paths[:_MAX_SCENARIOS]:
        budget -= archive.members[path].size if path in archive.members else 0
        if budget < 0:
            raise CardError("too_many", "The archive's scenarios are too large; it is not read.")
        try:
            found.append(_scenario(_json(archive, path, remarks)))
        except CardError as problem:
            if problem.hostile:
                raise
            remarks.add("missing_scenario", f"The scenario {path[:100]} could not be read; it was left out.")
    return found


def _scenario(source: Object) -> Scenario:
    messages = source.get("messages")
    return Scenario(
        title=_text(source, "title"),
        narrative=expand(_text(source, "narrative")),
        instructions=expand(_text(source, "formattingInstructions")),
        first_messages=_message_texts(source.get("firstMessages")),
        examples=_message_texts(source.get("exampleMessages")),
        background=normalised(_text(source, "backgroundImage")),
        messages=[_expanded(message) for message in messages if is_object(message)] if is_array(messages) else [],
    )


def _expanded(message: Object) -> Object:
    outputs = message.get("outputs")
    found = [output for output in outputs if is_object(output)] if is_array(outputs) else []
    texts = [{**output, "text": expand(_text(output, "text"))} for output in found]
    return {**message, "text": expand(_text(message, "text")), "outputs": texts}


def _message_texts(value: Any) -> list[str]:
    return [expand(_text(item, "text")) for item in value if is_object(item)] if is_array(value) else []


def _text(source: Object, key: str) -> str:
    return as_text(source.get(key)) or ""


def _card(character: Object, scenarios: list[Scenario], author: Any) -> Object:
    first = scenarios[0] if scenarios else Scenario()
    greeting = first.first_messages[0] if first.first_messages else ""
    others = dict.fromkeys(text for scenario in scenarios[1:] for text in scenario.first_messages)
    display_name = _text(character, "displayName")
    author = author if is_object(author) else {}
    data: Object = {
        "name": _text(character, "name") or display_name,
        "description": expand(_text(character, "persona")),
        "personality": "",
        "scenario": first.narrative,
        "first_mes": greeting,
        "mes_example": "\n".join(f"<START>\n{example}" for example in first.examples),
        "creator_notes": _text(author, "backyardURL"),
        "system_prompt": first.instructions,
        "post_history_instructions": "",
        "alternate_greetings": [text for text in others if text and text != greeting],
        "tags": ["nsfw"] if character.get("isNSFW") is True else [],
        "creator": _text(author, "name"),
        "character_version": "",
        "extensions": {"display_name": display_name} if display_name else {},
    }
    if entries := _lore(character.get("loreItems")):
        data["character_book"] = {"extensions": {}, "entries": entries}
    return {"spec": SPEC_V2, "spec_version": "2.0", "data": data}


def _lore(items: Any) -> list[Object]:
    found = [item for item in items if is_object(item)] if is_array(items) else []
    return [
        {
            "keys": [key for part in _text(item, "key").split(",") if (key := expand(part).strip())],
            "content": expand(_text(item, "value")),
            "extensions": {},
            "enabled": True,
            "insertion_order": index,
        }
        for index, item in enumerate(found)
    ]


def _images(archive: Archive, character: Object, at: PurePosixPath, remarks: Remarks) -> list[EmbeddedFile]:
    images = character.get("images")
    found: list[EmbeddedFile] = []
    for image in images if is_array(images) else []:
        path = normalised(str(at.parent / _text(image, "path"))) if is_object(image) else ""
        if path not in archive.members:
            remarks.add("missing_asset", f"The character names the picture {path[:100]}, which is not in the archive.")
            continue
        name = _text(image, "label") if found else "main"
        found.append(member_file(archive, path, _asset("icon", path, name)))
    return found


def _backgrounds(archive: Archive, scenarios: list[Scenario]) -> list[EmbeddedFile]:
    paths = dict.fromkeys(scenario.background for scenario in scenarios if scenario.background in archive.members)
    return [member_file(archive, path, _asset("background", path, PurePosixPath(path).stem)) for path in paths]


def _asset(kind: str, path: str, name: str) -> Asset:
    return Asset(kind, f"embeded://{path}", name, "unknown")


def _path_of(file: EmbeddedFile) -> str:
    return file.uri.removeprefix("embeded://")
