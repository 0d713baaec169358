"""Edits patch the places that they touch; conversions say what they leave out."""

import json
from typing import Any

import pytest

from tertulia.characters.cards.books import conform_book, strip_decorators
from tertulia.characters.cards.card import Card, Character
from tertulia.characters.cards.conversion import Spec, as_v2, as_v3
from tertulia.characters.cards.editing import edit
from tertulia.characters.cards.reading import read_card
from tertulia.characters.cards.tree import arm, dump
from tertulia.characters.cards.writing import Form, write_card
from tests.characters.samples import as_bytes, sample, v2, v3


def card(tree: Any) -> Card:
    outcome = read_card(as_bytes(tree) if isinstance(tree, dict) else tree, "file.json")
    assert isinstance(outcome, Character)
    return outcome.card


def test_equal_values_touch_nothing():
    sloppy = card(sample("json_v2_sloppy.json"))
    same = {name: getattr(sloppy.fields, name) for name in ("name", "tags", "alternate_greetings", "character_version")}
    assert edit(sloppy, same) is sloppy


def test_edit_patches_one_place_and_leaves_the_rest_as_written():
    before = card(b'{"spec":"chara_card_v2","x":1.10,"data":{"name":"a","tags":"p, q","extensions":{"n":1e400}}}')
    after = edit(before, {"name": "b"})
    assert dump(arm(after.tree)) == dump(arm(before.tree)).replace(b'"a"', b'"b"')
    assert before.fields.name == "a"


def test_edited_number_loses_its_old_form():
    after = edit(card(b'{"spec":"chara_card_v3","data":{"name":"a","creation_date":1.10}}'), {"creation_date": 5.0})
    assert after.fields.creation_date == 5.0
    assert b'"creation_date":5.0' in dump(arm(after.tree))


def test_copies_in_the_root_follow():
    tree = v2(name="a", creator_notes="c") | {"name": "a", "creatorcomment": "c", "tags": ["own"], "chat": "x"}
    root = edit(card(tree), {"name": "b", "creator_notes": "d", "tags": ("t", "u")}).tree.root
    assert (root["name"], root["creatorcomment"], root["tags"], root["chat"]) == ("b", "d", ["own"], "x")
    assert root["data"]["tags"] == ["t", "u"]


@pytest.mark.parametrize(
    ("name", "changes", "version", "place"),
    [
        ("json_v1.json", {"first_mes": "new"}, "v1", ("first_mes",)),
        ("json_v1.json", {"tags": ["new"]}, "v2", ("data", "tags")),
        ("json_v1.json", {"nickname": "new"}, "v3", ("data", "nickname")),
        ("json_v2.json", {"nickname": "new"}, "v3", ("data", "nickname")),
        ("json_pygmalion_gradio.json", {"description": "new"}, "pygmalion", ("char_persona",)),
        ("json_pygmalion_gradio.json", {"personality": "new"}, "v2", ("data", "personality")),
    ],
)
def test_field_that_the_shape_has_not_makes_the_next_shape(
    name: str, changes: dict[str, Any], version: str, place: tuple[str, ...]
):
    after = edit(card(sample(name)), changes)
    assert after.shape == version
    node: Any = after.tree.root
    for step in place:
        node = node[step]
    assert node in ("new", ["new"])


def test_book_and_dates_can_be_taken_away():
    after = edit(card(sample("json_v3.json")), {"character_book": None, "creation_date": None, "nickname": ""})
    assert not {"character_book", "creation_date"} & set(after.tree.root["data"])
    assert after.tree.root["data"]["nickname"] == ""


def test_name_that_is_no_field_is_an_error_of_the_caller():
    with pytest.raises(KeyError):
        edit(card(v2()), {"greeting": "x"})


def test_v1_becomes_v2_with_what_else_it_has():
    tree = as_v2(card(sample("json_textgen_v1_alt.json"))).tree
    assert tree["data"]["description"] == "d"
    assert (tree["char_persona"], tree["metadata"]["version"], tree["spec"]) == ("cp", 1, "chara_card_v2")
    assert list(tree)[:3] == ["spec", "spec_version", "data"]
    assert "name" not in tree


def test_talkativeness_of_a_v1_goes_to_the_extensions():
    tree = as_v2(card({"name": "n", "description": "d", "talkativeness": "0.5"})).tree
    assert tree["data"]["extensions"] == {"talkativeness": "0.5"}


def test_textgen_becomes_v2_with_the_rest_in_extensions():
    tree = as_v2(card({"bot": "n", "context": "c", "turn_template": "t"})).tree
    assert tree["data"]["extensions"] == {"text-generation-webui": {"turn_template": "t"}}
    assert (tree["data"]["name"], tree["data"]["description"]) == ("n", "c")


def test_v3_to_v2_names_what_is_dropped():
    entry = {"keys": ["k"], "content": "@@depth 3\n@@role user\n\nText\n@@not", "use_regex": True, "id": "s", "x": 1}
    numbered = {"keys": ["k"], "content": "c", "use_regex": True, "id": 4}
    source = card(v3(character_book={"entries": [entry, numbered]}, assets=[], creation_date=0, creator_notes=""))
    tree, dropped = as_v2(source)
    assert dropped == ("nickname", "source", "group_only_greetings", "decorators of the book's entries")
    assert tree["data"]["creator_notes"].startswith("[Made from a V3 card. Not in this V2 copy: nickname, source")
    first, second = tree["data"]["character_book"]["entries"]
    assert first["content"] == "Text\n@@not"
    assert (first["x"], "use_regex" in first, "id" in first, second["id"]) == (1, False, False, 4)
    assert "fields_left_out" in {warning.code for warning in write_card(source, Form.JSON, spec=Spec.V2).warnings}


def test_v3_that_has_nothing_more_than_v2_says_nothing():
    icon = [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}]
    source = card(v3(nickname="", source=[], group_only_greetings=[], assets=icon, creator_notes="mine"))
    tree, dropped = as_v2(source)
    assert (dropped, tree["data"]["creator_notes"]) == ((), "mine")


def test_v2_to_v3_says_which_keys_are_patterns():
    entries = [{"keys": ["/a/i", "/b\\/c/"]}, {"keys": ["/a/i", "b"]}, {"keys": []}, {"keys": ["x"], "use_regex": True}]
    tree = as_v3(card(v2(character_book={"entries": entries})))
    made = tree["data"]["character_book"]["entries"]
    assert [entry["use_regex"] for entry in made] == [True, False, False, True]
    assert tree["data"]["group_only_greetings"] == []


@pytest.mark.parametrize("name", ["json_v2.json", "json_v3.json"])
def test_card_that_is_valid_is_left_as_it_is(name: str):
    source = card(sample(name))
    tree = as_v2(source).tree if source.shape == "v2" else as_v3(source)
    assert json.loads(dump(tree)) == json.loads(sample(name))


@pytest.mark.parametrize(
    ("content", "bare"),
    [
        ("plain", "plain"),
        ("@@depth 3\ntext", "text"),
        ("@@a\n@@@b\n\ntext\n", "text\n"),
        ("@@only", ""),
        ("\n@@not leading", "\n@@not leading"),
        ("@ one", "@ one"),
        ("", ""),
    ],
)
def test_decorators_are_stripped(content: str, bare: str):
    assert strip_decorators(content) == bare


def test_sloppy_book_conforms():
    book = conform_book(
        {
            "name": None,
            "description": 5,
            "entries": {
                "0": {"keys": "a, b", "insertion_order": "7", "position": 1, "enabled": 0, "unknown": {"k": 1}},
                "1": {
                    "keys": [1, None, "x"],
                    "insertion_order": None,
                    "position": "",
                    "content": None,
                    "secondary_keys": "s",
                },
                "2": "no entry",
            },
        }
    )
    assert book == {
        "description": "5",
        "extensions": {},
        "entries": [
            {
                "keys": ["a", "b"],
                "insertion_order": 7,
                "position": "after_char",
                "enabled": False,
                "unknown": {"k": 1},
                "content": "",
                "extensions": {},
            },
            {
                "keys": ["1", "x"],
                "insertion_order": 100,
                "content": "",
                "secondary_keys": ["s"],
                "extensions": {},
                "enabled": True,
            },
        ],
    }
