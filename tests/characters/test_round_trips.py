"""What goes in comes out: unedited cards are equal to what was imported, in every form."""

import base64
import json
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tertulia.characters.cards.card import Card, Character
from tertulia.characters.cards.conversion import Spec, as_v2, as_v3
from tertulia.characters.cards.reading import read_card
from tertulia.characters.cards.tree import arm, dump
from tertulia.characters.cards.writing import Form, Written, write_card
from tests.characters.samples import CARDS, V2_TEXTS, as_bytes, png_chunks, png_texts, sample, unzipped, v2, v3, zipped

PICTURE_OF = {Form.PNG: {"png", "apng"}, Form.WEBP: {"webp"}, Form.CHARX: {"png", "apng", "webp"}}


def imported(data: bytes, name: str) -> Character:
    outcome = read_card(data, name)
    assert isinstance(outcome, Character)
    return outcome


def written(outcome: Character, form: Form, original: bytes, spec: Spec | None = None) -> Written:
    """Write a card the way that its library does: with its own picture where the form takes it."""
    portrait = outcome.portrait if outcome.portrait and outcome.portrait.ext in PICTURE_OF.get(form, ()) else None
    container = original if form is Form.CHARX and outcome.format == "charx" else None
    return write_card(
        outcome.card,
        form,
        spec=spec,
        portrait=portrait.load() if portrait and not container else None,
        files=outcome.files,
        container=container,
    )


def saying(card: Card) -> dict[str, Any]:
    """What a card says, without where its files lie, which another container has elsewhere."""
    fields = card.fields
    said = {name: getattr(fields, name) for name in fields.__struct_fields__ if name not in {"assets", "extra"}}
    if fields.character_book is not None:  # V3 makes an entry say `use_regex`
        entries = [{**entry, "use_regex": None} for entry in fields.character_book["entries"]]
        said["character_book"] = {**fields.character_book, "entries": entries}
    return said


@pytest.mark.parametrize("spec", [None, *Spec])
@pytest.mark.parametrize("form", [form for form in Form if form is not Form.TXT])
@pytest.mark.parametrize("name", CARDS)
def test_import_export_import_is_a_fixed_point(name: str, form: Form, spec: Spec | None):
    first = imported(sample(name), name)
    once = written(first, form, sample(name), spec)
    second = imported(once.content, f"{first.card.fields.name}.{form}")
    if spec is not Spec.V2 or first.card.shape != "v3":
        assert saying(second.card) == saying(first.card)
    twice = written(second, form, once.content, spec)
    if form is Form.PNG and second.version != first.version:  # a V2's `chara` is its own, a V3's is made of it
        once, twice = twice, written(imported(twice.content, "a.png"), form, twice.content, spec)
    assert twice.content == once.content
    assert second.version == (spec or second.version)


@pytest.mark.parametrize("name", CARDS)
def test_text_has_the_description_and_says_what_it_has_not(name: str):
    first = imported(sample(name), name)
    text = written(first, Form.TXT, b"")
    assert text.content.decode() == first.card.fields.description
    codes = {warning.code for warning in text.warnings}
    assert ("fields_left_out" in codes) == bool(first.card.fields.first_mes)


@pytest.mark.parametrize(
    "name", [name for name in CARDS if name.endswith((".json", ".lorebook")) or name == "txt_json.txt"]
)
def test_json_comes_out_equal_with_key_order(name: str):
    data = sample(name).decode("utf-8-sig")
    out = written(imported(sample(name), name), Form.JSON, b"").content
    assert json.loads(out, object_pairs_hook=list) == json.loads(data, object_pairs_hook=list)


def test_yaml_comes_out_equal():
    name = "yaml_textgen.yaml"
    out = written(imported(sample(name), name), Form.YAML, b"").content
    assert yaml.safe_load(out) == yaml.safe_load(sample(name))


UNDAMAGED = [name for name in CARDS if name.endswith(".png") and name != "png_bad_crc.png"]


@pytest.mark.parametrize("name", UNDAMAGED)
def test_png_keeps_every_chunk_but_the_cards(name: str):
    def others(data: bytes) -> list[tuple[bytes, bytes]]:
        return [
            (kind, body)
            for kind, body in png_chunks(data)
            if kind not in (b"tEXt", b"zTXt", b"iTXt") or not body.lower().startswith((b"chara\0", b"ccv3\0"))
        ]

    original = sample(name)
    out = written(imported(original, name), Form.PNG, original).content
    assert others(out) == others(original)
    assert [kind for kind, _ in png_chunks(out)].count(b"IEND") == 1
    assert list(png_texts(out))[-2:] == ["chara", "ccv3"]


def test_png_has_both_cards_each_of_its_specification():
    original = sample("png_v3_both_ccv3_wins.png")
    out = png_texts(written(imported(original, "a.png"), Form.PNG, original).content)
    chara, ccv3 = (json.loads(base64.b64decode(out[keyword])) for keyword in ("chara", "ccv3"))
    assert (chara["spec"], ccv3["spec"]) == ("chara_card_v2", "chara_card_v3")
    assert ccv3 == json.loads(base64.b64decode(png_texts(original)["ccv3"]))
    assert not {"assets", "nickname", "group_only_greetings"} & set(chara["data"])
    assert "nickname" in chara["data"]["creator_notes"]
    assert chara["data"]["unknown_future_field"] == {"keep": "me"}


def test_v2_in_a_png_is_its_own_chara_untouched():
    original = sample("png_v2_after_idat.png")
    out = png_texts(written(imported(original, "a.png"), Form.PNG, original).content)
    assert json.loads(base64.b64decode(out["chara"])) == json.loads(base64.b64decode(png_texts(original)["chara"]))


@pytest.mark.parametrize("name", ["charx_v3.charx", "charx_stored.charx"])
def test_charx_keeps_every_member_but_the_card(name: str):
    original = sample(name)
    out = written(imported(original, name), Form.CHARX, original).content
    assert list(unzipped(out)) == list(unzipped(original))
    members, before = unzipped(out), unzipped(original)
    assert json.loads(members.pop("card.json")) == json.loads(before.pop("card.json"))
    assert members == before


def test_charx_behind_a_picture_keeps_the_picture():
    original = b"\xff\xd8\xff\xe0 a picture" + sample("charx_v3.charx")
    first = imported(original, "a.charx")
    out = written(first, Form.CHARX, original).content
    assert out.startswith(b"\xff\xd8\xff\xe0 a picture")
    assert saying(imported(out, "b.charx").card) == saying(first.card)


def test_files_of_a_charx_travel_in_a_png_and_back():
    original = sample("charx_v3.charx")
    first = imported(original, "a.charx")
    picture = written(first, Form.PNG, original).content
    second = imported(picture, "a.png")
    assert sorted(asset.uri for asset in second.card.fields.assets) == ["__asset:0", "__asset:1", "ccdefault:"]
    back = imported(written(second, Form.CHARX, b"").content, "b.charx")
    assert {
        (file.type, file.name): file.load() for file in back.files if file.name != "main" or file.type != "icon"
    } == {(file.type, file.name): file.load() for file in first.files if file.name != "main" or file.type != "icon"}
    assert back.portrait is not None
    assert back.portrait.load() == picture


def test_byaf_becomes_a_charx_with_its_pictures():
    original = sample("byaf_two_scenarios.byaf")
    out = written(imported(original, "a.byaf"), Form.CHARX, b"").content
    back = imported(out, "a.charx")
    assert [(file.type, file.name) for file in back.files] == [
        ("icon", "main"),
        ("icon", "smile"),
        ("background", "bg"),
    ]
    assert back.portrait is not None


def test_markdown_keeps_the_text_after_the_front_matter():
    original = sample("md_frontmatter_v2.md")
    first = imported(original, "a.md")
    out = written(first, Form.MD, b"").content.decode()
    assert out.endswith("---\n\n# Notes\nfree text after the front matter\n")
    assert "text_left_out" in {warning.code for warning in written(first, Form.JSON, b"").warnings}


def test_new_portrait_replaces_the_icon_of_an_archive():
    original = sample("charx_v3.charx")
    first = imported(original, "a.charx")
    picture = sample("png_no_card.png") + b"!"
    out = write_card(first.card, Form.CHARX, portrait=picture, files=first.files, container=original).content
    portrait = imported(out, "a.charx").portrait
    assert portrait is not None
    assert portrait.load() == picture


def test_portrait_of_an_archive_without_one_is_added():
    original = zipped({"card.json": as_bytes(v3()), "notes.txt": b"n"})
    first = imported(original, "a.charx")
    out = write_card(first.card, Form.CHARX, portrait=sample("png_no_card.png"), container=original).content
    back = imported(out, "a.charx")
    assert back.portrait is not None
    assert back.portrait.load() == sample("png_no_card.png")
    assert back.extra_members == ("notes.txt",)


def test_book_that_is_handed_in_stands_in_for_the_cards_own():
    book = {"name": "Handed", "extensions": {}, "entries": [{"keys": "a, b", "content": "c"}]}
    for name in ("json_v1.json", "json_v2.json", "json_v3.json"):
        out = write_card(imported(sample(name), name).card, Form.JSON, book=book)
        card = imported(out.content, "a.json").card
        assert card.fields.character_book is not None
        assert card.fields.character_book["name"] == "Handed"
        exported = json.loads(write_card(card, Form.JSON, spec=Spec.V3).content)["data"]["character_book"]["entries"]
        assert exported == [
            {
                "keys": ["a", "b"],
                "content": "c",
                "extensions": {},
                "enabled": True,
                "insertion_order": 100,
                "use_regex": False,
            }
        ]


def test_card_without_a_picture_gets_a_plain_one():
    card = imported(sample("json_v2.json"), "a.json").card
    for form, name in ((Form.PNG, "a.png"), (Form.WEBP, "a.webp")):
        out = write_card(card, form)
        assert [warning.code for warning in out.warnings] == ["plain_picture"]
        assert saying(imported(out.content, name).card) == saying(card)


def test_numbers_keep_the_form_in_which_they_were_written():
    numbers = b"[1.10,1e400,-0,1E5,12345678901234567890123,0.1,1.0]"
    head = b'{"spec":"chara_card_v2","spec_version":2.0,"data":'
    data = head + b'{"name":"N","character_version":1.10,"extensions":{"n":%b}}}'
    card = imported(data % numbers, "a.json").card
    assert card.fields.character_version == "1.10"
    assert dump(arm(card.tree)) == data % numbers
    for form in (Form.JSON, Form.PNG, Form.YAML, Form.CHARX):
        out = write_card(card, form, spec=Spec.V3)
        again = imported(out.content, f"a.{form}").card
        assert numbers in dump(arm(again.tree))


@pytest.mark.parametrize("name", CARDS)
def test_card_can_be_kept_as_json(name: str):
    card = imported(sample(name), name).card
    kept = msgspec.json.decode(msgspec.json.encode(card), type=Card)
    assert kept == card
    assert kept.fields == card.fields


def test_fields_are_plain_json_even_where_numbers_keep_their_form():
    data = b'{"spec":"chara_card_v2","data":{"name":1.10,"extensions":{"n":1.10},"character_book":{"n":-0},"x":1e400}}'
    fields = imported(data, "a.json").card.fields
    assert json.loads(msgspec.json.encode(fields))["name"] == "1.10"


@pytest.mark.parametrize("form", [form for form in Form if form is not Form.TXT])
def test_deep_card_goes_out_in_every_form(form: Form):
    deep: Any = {"end": 1}
    for _ in range(120):
        deep = [deep]
    card = imported(as_bytes(v2(extensions={"deep": deep})), "a.json").card
    again = imported(write_card(card, form).content, f"a.{form}").card
    assert again.fields.extensions == {"deep": deep}


def test_card_that_names_no_specification_gets_one_in_a_png():
    card = imported(as_bytes({"data": v2()["data"]}), "a.json").card
    chara = json.loads(base64.b64decode(png_texts(write_card(card, Form.PNG).content)["chara"]))
    assert chara["spec"] == "chara_card_v2"


def test_file_name_is_a_slug():
    name = write_card(imported(as_bytes(v2(name="../Ünï: 漢字/..\\x")), "a.json").card, Form.PNG).file_name
    assert name == "uni-x.png"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@st.composite
def cards(draw: st.DrawFn) -> dict[str, Any]:
    """Cards of both specifications, odd in every field that may be odd."""
    tree = draw(st.sampled_from([v2, v3]))()
    data = tree["data"]
    for field in draw(st.sets(st.sampled_from(sorted(data)))):
        data[field] = draw(JSON | TEXT)
    names = ["keys", "content", "enabled", "insertion_order", "position", "id", "extensions", "x"]
    entry = st.dictionaries(st.sampled_from(names), JSON)
    data["character_book"] = draw(JSON | st.fixed_dictionaries({"entries": st.lists(entry, max_size=3)}))
    return tree


@given(cards())
def test_any_card_comes_back_equal_in_its_own_shape(tree: dict[str, Any]):
    first = imported(as_bytes(tree), "n.json")
    assert json.loads(write_card(first.card, Form.JSON).content) == json.loads(dump(arm(first.card.tree)))
    for form in (Form.YAML, Form.MD):
        second = imported(write_card(first.card, form).content, f"n.{form}")
        assert dump(arm(second.card.tree)) == dump(arm(first.card.tree))


@given(cards())
def test_conversions_are_valid_and_settle(tree: dict[str, Any]):
    card = imported(as_bytes(tree), "n.json").card
    up = as_v3(card)
    assert up["spec"] == "chara_card_v3"
    _assert_valid(up["data"], v3=True)
    again = imported(dump(up), "n.json").card
    assert dump(as_v3(again)) == dump(up)
    down = as_v2(again).tree
    _assert_valid(down["data"], v3=False)
    settled = imported(dump(down), "n.json").card
    assert dump(as_v2(settled).tree) == dump(down)


@given(st.dictionaries(TEXT.filter(lambda key: key not in v3()["data"]), JSON, max_size=4))
def test_unknown_fields_survive_every_conversion(extra: dict[str, Any]):
    reserved = {"assets", "creator_notes_multilingual", "creation_date", "modification_date", "character_book"}
    extra = {key: value for key, value in extra.items() if key not in reserved}
    card = imported(as_bytes(v2(**extra)), "n.json").card
    kept = json.loads(dump(arm(card.tree)))["data"]
    for tree in (as_v3(card), as_v2(card.reshaped(card.shape, as_v3(card))).tree):
        assert {key: value for key, value in json.loads(dump(tree))["data"].items() if key in kept} == kept


def _assert_valid(data: dict[str, Any], *, v3: bool) -> None:
    assert all(isinstance(data[name], str) for name in V2_TEXTS)
    assert data["name"].strip()
    lists = ["alternate_greetings", "tags", *(["group_only_greetings"] if v3 else [])]
    assert all(isinstance(item, str) for name in lists for item in data[name])
    assert isinstance(data["extensions"], dict)
    assert v3 or not {"assets", "nickname", "source", "group_only_greetings"} & set(data)
    for entry in data.get("character_book", {"entries": []})["entries"]:
        assert all(isinstance(key, str) for key in entry["keys"])
        assert isinstance(entry["content"], str)
        assert isinstance(entry["extensions"], dict)
        assert isinstance(entry["enabled"], bool)
        assert isinstance(entry["insertion_order"], int | float)
