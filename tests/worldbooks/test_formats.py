"""Books of other programs come in whole, and go out again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.kernel.errors import Invalid
from tertulia.worldbooks.formats import FORMATS, UnreadableLorebook, read_lorebook, write_lorebook
from tests.worldbooks.scanning import DATA, book, scan, uids
from tests.worldbooks.test_properties import wild_entry

FILES = {
    "lore_st_full.json": "sillytavern",
    "lore_character_book_bare.json": "character_book",
    "lore_v3_spec.json": "lorebook_v3",
    "lore_risu.json": "risu",
    "lore_novelai.lorebook": "novelai",
    "json_regex_dos.json": "character_book",
}


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def missing(before: object, after: object, path: str = "") -> list[str]:
    """Give the places of a file that another has not, or has otherwise."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            place
            for name, value in before.items()
            for place in (missing(value, after[name], f"{path}/{name}") if name in after else [f"{path}/{name}"])
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [place for at, (one, other) in pairs for place in missing(one, other, f"{path}/{at}")]
    return [] if before == after else [path]


@pytest.mark.parametrize(("name", "form"), FILES.items())
def test_a_file_comes_back_with_all_that_was_in_it(name: str, form: str) -> None:
    raw = load(name)
    read = read_lorebook(raw, name="file")
    assert read.format == form
    original = raw["data"]["character_book"] if name == "json_regex_dos.json" else raw
    assert missing(original, write_lorebook(read.book, form)) == []


@pytest.mark.parametrize("name", FILES)
def test_our_own_format_and_its_own_keep_the_whole_book(name: str) -> None:
    read = read_lorebook(load(name), name="file")
    for form in {"tertulia", read.format}:
        written = json.loads(json.dumps(write_lorebook(read.book, form)))
        assert read_lorebook(written, name="file").book == read.book
    assert read_lorebook(write_lorebook(read.book, "tertulia")).format == "tertulia"


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_keeps_keys_content_and_order(form: str) -> None:
    made = book({"uid": 3, "key": ["a", "b"], "content": "text", "order": 7, "comment": "c"})
    again = read_lorebook(json.loads(json.dumps(write_lorebook(made, form)))).book
    entry = again.entries[0]
    assert (entry.key, entry.content, entry.order, entry.comment) == (("a", "b"), "text", 7, "c")


def test_character_book_maps_the_fields_of_sillytavern() -> None:
    entry = read_lorebook(load("lore_character_book_bare.json")).book.entries[0]
    assert entry.key == ("dragon",)
    assert entry.keysecondary == ("fire", "ice")
    assert (entry.selective_logic, entry.probability, entry.position, entry.depth, entry.role) == (3, 50, 4, 2, 1)
    assert entry.case_sensitive is True
    assert entry.extensions["foo"] == "bar"


def test_what_the_format_has_no_place_for_comes_back() -> None:
    made = book(
        {"uid": 0, "key": ["a"], "characterFilter": {"isExclude": True, "names": ["x"], "tags": []}, "addMemo": True},
        {"uid": "named", "key": ["b"], "foreign": {"deep": [1]}},
    )
    for form in ("sillytavern", "character_book", "lorebook_v3"):
        assert read_lorebook(write_lorebook(made, form), name="global").book.entries == made.entries
    sillytavern = write_lorebook(made, "sillytavern")["entries"]
    assert [(key, entry["uid"]) for key, entry in sillytavern.items()] == [("0", 0), ("1", 1)]


@pytest.mark.parametrize(
    ("extensions", "key", "text", "fires"),
    [
        ({}, "dr.gon", "a dragon", True),  # use_regex alone: a bare pattern
        ({"selectiveLogic": 0}, "dr.gon", "a dragon", False),  # SillyTavern says so of every entry
        ({"selectiveLogic": 0}, "/dr.gon/", "a dragon", True),
        ({}, "a/b", "path a/b", True),
    ],
)
def test_use_regex(extensions: dict[str, Any], key: str, text: str, fires: bool) -> None:
    entry = {"keys": [key], "content": "c", "use_regex": True, "enabled": True, "extensions": extensions}
    read = read_lorebook({"name": "b", "extensions": {}, "entries": [entry]})
    assert bool(scan(read.book, text).fired) == fires
    assert write_lorebook(read.book, "character_book")["entries"][0]["keys"] == [key]


def test_sloppy_entries() -> None:
    read = read_lorebook(
        {
            "name": None,
            "entries": [
                {"keys": "one, two", "insertion_order": None, "position": "", "content": None, "enabled": None},
                {"keys": ["x"], "insertion_order": "7", "position": 0, "id": 0, "key_logic": "NOT_ANY"},
                {"keys": ["y"], "id": 0, "sticky": 3, "whole_words_only": False, "scan_persona": True},
                "no entry",
            ],
        },
        name="fallback",
    )
    first, second, third = read.book.entries
    assert read.book.name == "fallback"
    assert (first.key, first.order, first.position, first.content, first.disable) == (("one", "two"), 100, 1, "", False)
    assert (second.order, second.position, second.selective_logic) == (7, 0, 2)
    assert (third.sticky, third.match_whole_words, third.match_persona_description) == (3, False, True)
    assert len({entry.uid for entry in read.book.entries}) == 3


def test_foreign_programs() -> None:
    agnai = read_lorebook(
        {
            "kind": "memory",
            "name": "m",
            "entries": [{"name": "n", "entry": "e", "keywords": ["k"], "weight": 4, "priority": 9}],
        }
    )
    assert agnai.book.name == "m"
    assert (agnai.book.entries[0].content, agnai.book.entries[0].order) == ("e", 4)
    assert write_lorebook(agnai.book, "agnai")["entries"][0]["priority"] == 9
    risu = read_lorebook(load("lore_risu.json")).book.entries[0]
    assert (risu.key, risu.keysecondary, risu.order, risu.probability) == (("r1", "r2"), ("s1",), 42, 75)
    pattern = read_lorebook({"type": "risu", "data": [{"key": "a,b|c", "useRegex": True}]}).book
    assert pattern.entries[0].key == ("/a,b|c/",)
    novelai = read_lorebook(load("lore_novelai.lorebook")).book.entries[0]
    assert (novelai.key, novelai.order, novelai.content) == (("nai", "/re/i"), 400, "NAI text")


def test_old_lists_and_embedded_books() -> None:
    assert uids(scan(read_lorebook({"entries": [{"key": ["cat"], "content": "c"}]}).book, "cat")) == [0]
    card = {"spec": "chara_card_v2", "data": {"name": "n", "character_book": {"entries": [{"keys": ["cat"]}]}}}
    assert read_lorebook(card).format == "character_book"


@pytest.mark.parametrize("data", [None, [], "x", 3, {}, {"entries": 3}, {"spec": "lorebook_v3"}, {"data": {}}])
def test_what_is_no_lorebook_is_refused(data: object) -> None:
    with pytest.raises(UnreadableLorebook):
        read_lorebook(data)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(Invalid, match="sillytavern"):
        write_lorebook(book(), "docx")


@given(st.lists(wild_entry, max_size=4), st.sampled_from(FORMATS))
def test_any_book_is_written_and_read(entries: list[dict[str, Any]], form: str) -> None:
    made = book(*entries)
    written = write_lorebook(made, form)
    again = read_lorebook(written)
    assert len(again.book.entries) == len(made.entries)
    assert json.dumps(written)
