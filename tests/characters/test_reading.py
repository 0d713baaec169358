"""Lenient reading: what real files have, and what a clean one may have."""

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.characters.cards.card import Character, Lorebook
from tertulia.characters.cards.errors import (
    CardError,
    CardTooLargeError,
    MissingCharacterDataError,
    UnknownCardFormatError,
)
from tertulia.characters.cards.fields import Fields
from tertulia.characters.cards.limits import FileLimits
from tertulia.characters.cards.reading import image_only, read_card
from tests.characters.samples import as_bytes, chunk, jpeg, png, riff, sample, v2, v3, webp, zipped

V1 = {"name": "Flat", "description": "d", "personality": "p", "scenario": "s", "first_mes": "f", "mes_example": "m"}


def character(data: bytes, name: str = "file.json") -> Character:
    outcome = read_card(data, name)
    assert isinstance(outcome, Character)
    return outcome


def fields(tree: Any, name: str = "file.json") -> Fields:
    return character(as_bytes(tree), name).card.fields


def codes(outcome: Character) -> list[str]:
    return [warning.code for warning in outcome.warnings]


def text_chunk(keyword: str, tree: Any) -> bytes:
    return chunk(b"tEXt", keyword.encode() + b"\0" + base64.b64encode(as_bytes(tree)))


# --- fields


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [(None, ""), (3, "3"), (1.5, "1.5"), (True, "true"), (["a", "b"], "a\nb"), ({"x": 1}, ""), ([[]], "")],
)
def test_text_fields_take_what_can_be_text(given_value: Any, expected: str):
    outcome = character(as_bytes(v2(description=given_value)))
    assert outcome.card.fields.description == expected
    assert codes(outcome) == ([] if given_value is None else ["lenient_field"])


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [("a, b,,c ", ("a", "b", "c")), (None, ()), (["x", 1, None, {}], ("x", "1")), ({}, ()), ("", ())],
)
def test_tags_take_what_can_be_tags(given_value: Any, expected: tuple[str, ...]):
    assert fields(v2(tags=given_value)).tags == expected


def test_one_greeting_may_stand_without_a_list():
    assert fields(v2(alternate_greetings="one, and only")).alternate_greetings == ("one, and only",)


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_extensions_and_book_that_are_no_objects_count_as_none(value: Any):
    read = fields(v2(extensions=value, character_book=None if value == [] else value))
    assert (read.extensions, read.character_book) == ({}, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1719942734, 1719942734.0),
        (1719942734577, 1719942734.577),
        ("1719942734", 1719942734.0),
        ("2024-07-02T17:52:14Z", 1719942734.0),
        ("2024-07-02T17:52:14", 1719942734.0),
        (0, None),
        (-5, None),
        ("-5", None),
        ("soon", None),
        ("0001-01-01", None),
        (True, None),
        (1e300, None),
        ([], None),
        (None, None),
    ],
)
def test_dates_are_normalised_for_display(value: Any, expected: float | None):
    assert fields(v3(creation_date=value)).creation_date == expected


def test_the_date_as_written_stays_in_the_tree():
    card = character(as_bytes(v3(creation_date=1719942734577))).card
    assert card.tree.root["data"]["creation_date"] == 1719942734577


def test_v3_fields_are_read():
    assets = [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": ".PNG"}, {"uri": 1}, 7, {"uri": "data:,x"}]
    read = fields(v3(assets=assets, creator_notes_multilingual={"de": "hallo", "en": 1, "fr": {}}))
    assert [(asset.type, asset.uri, asset.ext) for asset in read.assets] == [
        ("icon", "ccdefault:", "png"),
        ("other", "data:,x", "unknown"),
    ]
    assert read.creator_notes_multilingual == {"de": "hallo", "en": "1"}
    assert (read.nickname, read.source, read.group_only_greetings) == ("Nick", ("id:1",), ("all",))
    assert read.extra == {"future": {"keep": [1.5, True]}}


def test_boilerplate_notes_are_no_notes():
    assert fields(v2(creator_notes="Creator's notes go here.")).creator_notes == ""
    assert fields(V1 | {"creatorcomment": "mine"}).creator_notes == "mine"


def test_data_wins_over_copies_in_the_root():
    assert fields(V1 | v2(name="Data")).name == "Data"


@pytest.mark.parametrize("name", [None, "", "  ", {}, []])
def test_card_without_a_name_is_named_after_its_file(name: Any):
    outcome = character(as_bytes(v2(name=name)), "dir\\Some File.json")
    assert outcome.card.fields.name == "Some File"
    assert "missing_name" in codes(outcome)


# --- shapes


@pytest.mark.parametrize(
    ("tree", "version"),
    [
        (V1, "v1"),
        ({"name": "only"}, "v1"),
        ({"spec": "chara_card_v2", **V1}, "v1"),
        ({"data": {"name": "n"}}, "v2"),
        ({"spec": "chara_card_v9", "data": {"name": "n"}}, "v2"),
        ({"spec": ["odd"], "data": {"first_mes": "n"}}, "v2"),
        (v3() | {"spec_version": "4.5"}, "v3"),
        (v3() | {"spec_version": 3.0}, "v3"),
        ({"char_name": "P", "char_persona": "x"}, "pygmalion"),
        ({"char_name": "P", "name": "P", "char_persona": "x"}, "pygmalion"),
        ({"char_name": "P", "description": "d"}, "v1"),
        ({"bot": "T", "context": "c", "turn_template": "t"}, "textgen"),
        ({"name": "T", "greeting": "g"}, "textgen"),
    ],
)
def test_shape_is_recognised(tree: dict[str, Any], version: str):
    assert character(as_bytes(tree)).version == version


def test_newer_version_is_taken_with_a_warning():
    assert codes(character(as_bytes(v3() | {"spec_version": "3.1"}))) == ["newer_spec"]
    assert codes(character(as_bytes(v3() | {"spec_version": "x"}))) == []


def test_second_names_of_v1_fields_fill_the_gaps():
    read = fields({"name": "", "char_name": "P", "description": "d", "world_scenario": "w", "greeting": "g"})
    assert (read.name, read.description, read.scenario, read.first_mes) == ("P", "d", "w", "g")


def test_textgen_keeps_the_rest_in_extensions():
    read = fields({"name": "T", "context": "c", "example_dialogue": "e", "your_name": "U", "turn_template": "<|x|>"})
    assert read.extensions == {"text-generation-webui": {"your_name": "U", "turn_template": "<|x|>"}}
    assert (read.description, read.mes_example) == ("c", "e")


@pytest.mark.parametrize(
    ("tree", "kind"),
    [
        ({"entries": {}}, "sillytavern"),
        ({"name": "W", "description": "d", "entries": {"0": {"key": []}}}, "sillytavern"),
        ({"name": "B", "entries": []}, "character_book"),
        ({"spec": "lorebook_v3", "data": {"entries": []}}, "lorebook_v3"),
        ({"lorebookVersion": 5, "entries": []}, "novelai"),
        ({"kind": "memory", "name": "A", "entries": [{"keywords": ["k"]}]}, "agnai"),
        ({"type": "risu", "data": []}, "risu"),
    ],
)
def test_lorebooks_are_recognised(tree: dict[str, Any], kind: str):
    outcome = read_card(as_bytes(tree), "lore.json")
    assert isinstance(outcome, Lorebook)
    assert (outcome.kind, outcome.tree) == (kind, tree)
    assert outcome.name == tree.get("name", "lore")


@pytest.mark.parametrize("tree", [{}, {"a": 1}, {"description": "of a package"}, {"spec": "chara_card_v2"}])
def test_json_of_something_else_is_no_character(tree: dict[str, Any]):
    with pytest.raises(MissingCharacterDataError):
        read_card(as_bytes(tree), "a.json")


# --- text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding: str):
    outcome = character('{"name": "Zoë", "description": "é"}'.encode(encoding))
    assert outcome.card.fields.name == "Zoë"
    assert codes(outcome) == (["not_utf8"] if encoding == "cp1252" else [])


def test_damaged_utf8_loses_only_what_is_damaged():
    outcome = character('{"name": "Zoë 漢字 ü", "description": "d"}'.encode().replace("ü".encode(), b"\xc3"))
    assert outcome.card.fields.name == "Zoë 漢字 \ufffd"
    assert codes(outcome) == ["not_utf8"]


@pytest.mark.parametrize(
    "text",
    [
        "{name: 'It\\'s', description: 'd',}",
        '{"name": "It\'s", /* why */ "description": "d", // so\n}',
        '{\'name\': "It\'s", description: "d", n: +.5, m: 0x1F, o: 5., p: [1, 2,],}',
    ],
)
def test_hand_made_json_is_read_with_a_warning(text: str):
    outcome = character(text.encode())
    assert outcome.card.fields.name == "It's"
    assert codes(outcome) == ["lenient_json"]


def test_raw_line_ends_in_strings_are_read():
    assert character(b'{"name": "N", "description": "a\nb"}').card.fields.description == "a\nb"


@pytest.mark.parametrize(
    "text", ['{"name": NaN}', '{"name": "n", "x": -Infinity}', "{name: undefined}", '{"name": "n"', "[]", '"x"']
)
def test_what_is_no_json_object_is_refused(text: str):
    with pytest.raises(CardError) as caught:
        read_card(text.encode(), "a.json")
    assert caught.value.code == "invalid"


def test_last_of_two_equal_keys_wins():
    outcome = character(b'{"name": "a", "description": "x", "name": "b"}')
    assert outcome.card.fields.name == "b"
    assert codes(outcome) == ["duplicate_key"]


def test_characters_that_no_store_takes_are_replaced():
    outcome = character(b'{"name": "a\\u0000b", "description": "\\ud83d \\ud83d\\ude00", "k\\u0000": 1}')
    assert (outcome.card.fields.name, outcome.card.fields.description) == ("a\ufffdb", "\ufffd 😀")
    assert "k\ufffd" in outcome.card.tree.root
    assert codes(outcome) == ["unstorable_character"]


def test_yaml_scalars_are_those_of_the_core_schema():
    text = "name: yes\ncontext: 2024-01-01\ngreeting: 12:30\nx: [~, null, true, 1, 1.10, 007, .inf, !!str 5]\n1: one\n"
    root = character(text.encode(), "a.yaml").card.tree.root
    assert root == {
        "name": "yes",
        "context": "2024-01-01",
        "greeting": "12:30",
        "x": [None, None, True, 1, 1.1, "007", ".inf", "5"],
        "1": "one",
    }


def test_yaml_aliases_are_copied():
    card = character(b"name: n\ncontext: c\na: &a {x: [1]}\nb: *a\n", "a.yaml").card
    assert card.tree.root["b"] == card.tree.root["a"]
    assert card.tree.root["b"] is not card.tree.root["a"]


def test_yaml_file_may_hold_json_or_several_documents():
    assert character(as_bytes(v3()), "a.yaml").version == "v3"
    assert codes(character(b"name: a\ncontext: x\n---\nname: b\n", "a.yml")) == ["more_documents"]
    assert codes(character(b"name: a\nname: b\ncontext: x\n", "a.yml")) == ["duplicate_key"]


@pytest.mark.parametrize("text", ["- a\n", "prose\n", "a: [\n", "a: b: c\n", "? [x]\n: y\n", "\t\tx: y\n", "a: \x07\n"])
def test_yaml_that_is_no_mapping_is_refused(text: str):
    with pytest.raises(CardError):
        read_card(text.encode(), "a.yaml")


def test_markdown_forms():
    front = "---\r\nname: Front\r\ncontext: c\r\n---\r\nrest"
    assert character(front.encode(), "a.md").card.fields.name == "Front"
    fenced = f"intro\n\n```JSON\n{json.dumps(v2(name='Fenced'))}\n```\nend\n"
    outcome = character(fenced.encode(), "a.md")
    assert (outcome.card.fields.name, outcome.card.prose) == ("Fenced", "intro\n\nend\n")
    second = '```json\n{"port": 1}\n```\n' + fenced
    assert character(second.encode(), "a.md").card.fields.name == "Fenced"
    lore = read_card(b'```json\n{"entries": {}}\n```', "a.md")
    assert isinstance(lore, Lorebook)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("# Wilma *the keeper*\nShe waits.", "Wilma *the keeper"),
        ("Intro\n## Second\nx", "Second"),
        ("no heading", "file"),
        ('[Character ( "Wanda" )\n{ Mind("a") }]', "Wanda"),
        ("[character(“Curly”){}]", "Curly"),
        ("---\ntitle: a post\n---\ntext", "file"),
        ("---\n[broken\n---\ntext", "file"),
        ("{ not json", "file"),
    ],
)
@pytest.mark.parametrize("ext", ["md", "txt"])
def test_prose_becomes_a_character_with_a_warning(text: str, name: str, ext: str):
    outcome = character(text.encode(), f"file.{ext}")
    assert outcome.card.fields.name == name
    assert outcome.card.fields.description == text
    assert "plain_text" in codes(outcome)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.json", "a.yaml"])
def test_empty_file_has_no_character(name: str):
    with pytest.raises(MissingCharacterDataError):
        read_card(b" \n", name)


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.exe"])
def test_unknown_kind_is_named_as_such(name: str):
    with pytest.raises(UnknownCardFormatError) as caught:
        read_card(b"%PDF-1.7", name)
    assert caught.value.code == "unsupported_media_type"
    assert character(as_bytes(V1), name).version == "v1"


# --- pictures


def test_content_decides_whatever_the_name_says():
    assert character(sample("png_v1.png"), "a.json").format == "png"
    assert character(sample("charx_v3.charx"), "a.zip").format == "charx"
    assert character(sample("webp_exif_base64.webp"), "a.png").format == "webp"
    assert character(sample("byaf_two_scenarios.byaf"), "a.charx").format == "byaf"


def test_first_of_two_chunks_wins_in_any_case():
    data = png(text_chunk("CHARA", V1 | {"name": "first"}), text_chunk("chara", V1 | {"name": "second"}))
    assert character(data, "a.png").card.fields.name == "first"


@pytest.mark.parametrize("value", [b"!!", base64.b64encode(b"{oops"), base64.b64encode(b'{"a":1}'), b""])
def test_undecodable_ccv3_falls_back_to_chara(value: bytes):
    data = png(text_chunk("chara", V1), chunk(b"tEXt", b"ccv3\0" + value))
    outcome = character(data, "a.png")
    assert outcome.card.fields.name == "Flat"
    assert value == base64.b64encode(b'{"a":1}') or codes(outcome) == ["undecodable"]


def test_the_json_is_trusted_where_the_chunk_disagrees():
    assert character(png(text_chunk("ccv3", v2())), "a.png").version == "v2"


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.rstrip(b"="),
        lambda b: b"\n".join((b[:40], b[40:])) + b"\n",
        lambda b: b.translate(bytes.maketrans(b"+/", b"-_")),
    ],
)
def test_base64_of_other_tools(change: Any):
    value = change(base64.b64encode(as_bytes(v2(name="ÿ?>~"))))
    outcome = character(png(chunk(b"tEXt", b"chara\0" + value)), "a.png")
    assert outcome.card.fields.name == "ÿ?>~"


def test_compressed_itxt_is_read():
    body = b"ccv3\0\1\0en\0translated\0" + zlib.compress(base64.b64encode(as_bytes(v3())))
    outcome = character(png(chunk(b"iTXt", body)), "a.png")
    assert set(codes(outcome)) == {"itxt_chunk", "compressed_text"}


def test_old_asset_chunks_lack_the_colon():
    tree = v3(assets=[{"type": "emotion", "uri": f"__asset:{n}", "name": "n", "ext": "png"} for n in (1, 2, 3)])
    chunks = (chunk(b"tEXt", b"chara-ext-asset_1\0b25l"), chunk(b"tEXt", b"chara-ext-asset_:2\0dHdv"))
    outcome = character(png(*chunks, text_chunk("ccv3", tree)), "a.png")
    assert [file.load() for file in outcome.files] == [b"one", b"two"]
    assert codes(outcome) == ["missing_asset"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "comment",
    [
        b"ASCII\0\0\0" + as_bytes(V1),
        b"\0" * 8 + as_bytes(V1),
        as_bytes(V1),
        b"UNICODE\0" + as_bytes(V1),
        b"UNICODE\0" + as_bytes(V1).decode().encode("utf-16-le"),
        b"UNICODE\0" + as_bytes(V1).decode().encode("utf-16-be"),
        b"UNICODE\0" + as_bytes(V1).decode().encode("utf-16"),
        b"ASCII\0\0\0" + base64.b64encode(as_bytes(V1)),
        ",".join(map(str, as_bytes(V1))).encode(),
        b"ASCII\0\0\0{name: 'Flat', description: 'd', first_mes: 'f'}",
    ],
)
def test_user_comment_in_every_form(comment: bytes, order: str):
    outcome = character(webp(comment, order), "a.webp")
    assert outcome.card.fields.name == "Flat"
    assert character(jpeg(comment), "a.jpg").format == "jpeg"


@pytest.mark.parametrize("comment", [b"ASCII\0\0\0a photo", b"1,2,3", b"300,400", b"eyJhIjoxfQ==", b""])
def test_picture_whose_comment_is_no_card_has_none(comment: bytes):
    for data in (webp(comment), jpeg(comment)):
        with pytest.raises(MissingCharacterDataError) as caught:
            read_card(data, "a.webp")
        assert caught.value.can_import_image_only


@pytest.mark.parametrize(
    "block", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\x87\x69" * 9]
)
def test_damaged_exif_is_no_card(block: bytes):
    with pytest.raises(MissingCharacterDataError):
        read_card(riff((b"EXIF", block)), "a.webp")


def test_jpeg_may_be_the_prefix_of_an_archive():
    data = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xda\x00\x02\x00\xff\xd9" + sample("charx_v3.charx")
    for name in ("a.charx", "a.jpg"):
        assert character(data, name).extra_members == ("app_private.json",)


def test_picture_whose_pixels_look_like_an_archive_is_a_picture():
    with pytest.raises(MissingCharacterDataError) as caught:
        read_card(png(chunk(b"ownX", b"PK\x05\x06" + b"\xff" * 40)), "a.png")
    assert caught.value.can_import_image_only


def test_picture_alone_can_be_imported():
    for name in ("png_no_card.png", "webp_no_card.webp"):
        outcome = image_only(sample(name), f"Some One.{name[-3:]}")
        assert (outcome.card.fields.name, codes(outcome)) == ("Some One", ["image_only"])
        assert outcome.portrait is not None
        assert outcome.portrait.load() == sample(name)
    with pytest.raises(UnknownCardFormatError):
        image_only(b"GIF89a", "a.gif")


def test_limits_of_files_are_the_callers():
    limits = FileLimits(image_bytes=100, archive_bytes=200)
    for name in ("png_v1.png", "charx_v3.charx"):
        with pytest.raises(CardTooLargeError) as caught:
            read_card(sample(name), name, limits)
        assert caught.value.code == "body_too_large"


def test_a_file_may_be_a_view_of_mapped_memory():
    data = memoryview(bytearray(sample("charx_v3.charx")))
    outcome = read_card(data, "a.charx")
    assert isinstance(outcome, Character)
    assert outcome.portrait is not None
    assert outcome.portrait.load().startswith(b"\x89PNG")


# --- archives


@pytest.mark.parametrize("prefix", ["embeded://", "embedded://", "EMBEDED://", "__asset:"])
def test_assets_are_found_by_every_prefix(prefix: str):
    tree = v3(assets=[{"type": "icon", "uri": f"{prefix}./a//b.png", "name": "x", "ext": "png"}])
    outcome = character(zipped({"card.json": as_bytes(tree), "a/b.png": b"png"}), "a.charx")
    assert outcome.portrait is not None
    assert outcome.portrait.load() == b"png"
    assert outcome.extra_members == ()


def test_missing_asset_is_noted():
    tree = v3(assets=[{"type": "icon", "uri": "embeded://../gone.png", "name": "main", "ext": "png"}])
    outcome = character(zipped({"card.json": as_bytes(tree), "x_meta/0.json": b"{}", "folder/": b""}), "a.charx")
    assert codes(outcome) == ["missing_asset"]
    assert (outcome.portrait, outcome.extra_members) == (None, ("x_meta/0.json",))


def test_module_of_another_program_is_kept_and_named():
    outcome = character(zipped({"card.json": as_bytes(v3()), "module.risum": b"x"}), "a.charx")
    assert codes(outcome) == ["risu_module"]


@pytest.mark.parametrize("card", [b"[]", b'{"entries": {}}', b"{}", b"nonsense"])
def test_archive_whose_card_is_none_is_refused(card: bytes):
    with pytest.raises(CardError) as caught:
        read_card(zipped({"card.json": card}), "a.charx")
    assert caught.value.code == "invalid"


def byaf(character_json: dict[str, Any], *scenarios: Any, **manifest: Any) -> Character:
    members = {f"s{number}.json": as_bytes(scenario) for number, scenario in enumerate(scenarios)}
    head = {"characters": ["c/c.json"], "scenarios": [*members, "gone.json"], **manifest}
    return character(
        zipped({"manifest.json": as_bytes(head), "c/c.json": as_bytes(character_json), "i/x.png": b"x", **members}),
        "a.byaf",
    )


def test_byaf_is_mapped():
    first = {
        "narrative": "{User} meets {character}.",
        "formattingInstructions": "As #{character}: would",
        "firstMessages": [{"text": "Hi {{user}}"}],
        "exampleMessages": [{"text": "#{user}: a"}, {"text": "#{Character}: b"}],
    }
    others = [{"firstMessages": [{"text": text}]} for text in ("Hi {{user}}", "Else", "Else")]
    person = {
        "name": "N",
        "displayName": "D",
        "isNSFW": True,
        "persona": "{character} }{user}}",
        "loreItems": [None, {"key": " a, ,{user} ", "value": "v"}],
        "images": [{"path": "../i/x.png", "label": "l"}, {"path": "gone.png"}],
    }
    outcome = byaf(person, first, *others, [], author={"name": "A", "backyardURL": "u"})
    read = outcome.card.fields
    assert (read.name, read.description, read.scenario) == ("N", "{{char}} }{user}}", "{{user}} meets {{char}}.")
    assert (read.first_mes, read.alternate_greetings) == ("Hi {{user}}", ("Else",))
    assert read.mes_example == "<START>\n{{user}}: a\n<START>\n{{char}}: b"
    assert read.system_prompt == "As {{char}}: would"
    assert (read.tags, read.creator, read.creator_notes) == (("nsfw",), "A", "u")
    assert read.extensions == {"display_name": "D"}
    assert read.character_book is not None
    (entry,) = read.character_book["entries"]
    assert (entry["keys"], entry["content"], entry["insertion_order"]) == (["a", "{{user}}"], "v", 0)
    assert outcome.scenarios == 4
    assert set(codes(outcome)) == {"missing_scenario", "missing_asset"}


def test_byaf_without_scenarios_or_name():
    outcome = byaf({"displayName": "D"}, characters=["c/c.json", "other.json"])
    assert (outcome.card.fields.name, outcome.card.fields.first_mes) == ("D", "")
    assert outcome.card.fields.character_book is None
    assert "more_characters" in codes(outcome)


def test_byaf_chat_is_paired_when_the_numbers_agree():
    human = [{"type": "human", "text": f"h{n}"} for n in range(2)]
    machine = [{"type": "ai", "outputs": [{"text": f"a{n}", "activeTimestamp": "1"}]} for n in range(2)]
    outcome = byaf({"name": "N"}, {"messages": human + machine}, {"messages": [*machine, human[0]]})
    assert [[message.texts[0] for message in chat.messages] for chat in outcome.chats] == [
        ["h0", "a0", "h1", "a1"],
        ["a0", "a1", "h0"],
    ]


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4))
def test_mutating_the_fields_of_one_reading_is_not_needed_to_read_again(extra: dict[str, str]):
    card = character(as_bytes(v2(extensions=extra))).card
    assert card.fields is card.fields
    assert card.fields.extensions == {
        key.replace("\0", "\ufffd"): v.replace("\0", "\ufffd") for key, v in extra.items()
    }
