"""Every sample file does what its manifest says."""

import hashlib
from typing import Any

import pytest

from tertulia.characters.cards.card import Character, Lorebook
from tertulia.characters.cards.errors import CardError, MissingCharacterDataError
from tertulia.characters.cards.reading import read_card
from tests.characters.samples import ALL, CARDS, LOREBOOKS, MANIFEST, REFUSED, expectation, sample

TEXTS = {
    "name",
    "description",
    "first_mes",
    "mes_example",
    "scenario",
    "system_prompt",
    "creator",
    "nickname",
    "character_version",
}


def character(name: str) -> Character:
    outcome = read_card(sample(name), name)
    assert isinstance(outcome, Character)
    return outcome


def counted(outcome: Character) -> dict[str, Any]:
    fields = outcome.card.fields
    book = fields.character_book or {}
    return {
        "alt": len(fields.alternate_greetings),
        "tags": len(fields.tags),
        "entries": len(book.get("entries", [])),
        "book": book.get("name"),
        "group": len(fields.group_only_greetings),
        "assets": len(fields.assets),
        "embedded": len(outcome.files),
        "extra_members": list(outcome.extra_members),
        "images": sum(file.type == "icon" for file in outcome.files),
        "scenarios": outcome.scenarios,
        "version": outcome.version,
    }


@pytest.mark.parametrize("name", ALL)
def test_sample_is_the_one_that_the_manifest_describes(name: str):
    data = sample(name)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (MANIFEST[name]["size"], MANIFEST[name]["sha256"])


@pytest.mark.parametrize("name", CARDS)
def test_card_says_what_it_should(name: str):
    outcome = character(name)
    expected = expectation(name)
    counts = counted(outcome)
    assert {key: counts[key] for key in counts if key in expected} == {k: v for k, v in expected.items() if k in counts}
    for field in TEXTS & set(expected):
        assert getattr(outcome.card.fields, field) == expected[field]


@pytest.mark.parametrize("name", CARDS)
def test_card_warns_of_what_it_should_and_of_nothing_in_a_clean_file(name: str):
    outcome = character(name)
    expected = expectation(name)
    told = " ".join(warning.message for warning in outcome.warnings)
    if "warning" in expected:
        assert expected["warning"] in told
    elif expected["outcome"] == "ask":
        assert [warning.code for warning in outcome.warnings] == ["plain_text"]
    elif "sloppy" not in name:
        assert told == ""


@pytest.mark.parametrize("name", CARDS)
def test_embedded_files_and_portrait_can_be_read(name: str):
    outcome = character(name)
    files = [*outcome.files, *([outcome.portrait] if outcome.portrait else [])]
    assert all(file.load()[:1] for file in files)
    assert (outcome.portrait is not None) == name.endswith((".png", ".webp", ".charx", ".byaf"))


@pytest.mark.parametrize("name", LOREBOOKS)
def test_lorebook_is_recognised_and_kept_whole(name: str):
    outcome = read_card(sample(name), name)
    assert isinstance(outcome, Lorebook)
    expected = expectation(name)
    tree = outcome.tree["data"] if outcome.kind in {"lorebook_v3", "risu"} else outcome.tree
    entries = tree["entries"] if isinstance(tree, dict) else tree
    assert len(entries) == expected["entries"]
    assert outcome.name == expected.get("name", outcome.name)


@pytest.mark.parametrize("name", sorted(name for name in ALL if expectation(name)["outcome"] in REFUSED))
def test_refused_file_is_refused_with_a_reason(name: str):
    with pytest.raises(CardError) as caught:
        read_card(sample(name), name)
    assert caught.value.code in {"invalid", "missing_character_data", "body_too_large"}
    assert caught.value.message.endswith(".")
    if caught.value.code == "invalid":  # HTTP contract, Errors: a list of path and message
        assert caught.value.details == {"errors": [{"path": caught.value.path, "message": caught.value.message}]}


@pytest.mark.parametrize(("name", "importable"), [("png_no_card.png", True), ("charx_missing_card.charx", False)])
def test_missing_character_data_says_whether_the_picture_can_be_taken(name: str, *, importable: bool):
    with pytest.raises(MissingCharacterDataError) as caught:
        read_card(sample(name), name)
    assert caught.value.code == "missing_character_data"
    assert caught.value.details == {"can_import_image_only": importable}


def test_prose_is_kept_verbatim():
    for name in ("txt_plain.txt", "txt_wpp.txt"):
        assert character(name).card.fields.description == sample(name).decode()


def test_hostile_markup_is_kept_verbatim():
    assert "<script>alert(1)</script>" in character("json_html_xss.json").card.fields.description


def test_chat_of_a_byaf_comes_with_its_swipes():
    (chat,) = character("byaf_two_scenarios.byaf").chats
    assert (chat.title, chat.background) == ("Day", "backgrounds/bg.png")
    assert [message.role for message in chat.messages] == ["assistant", "user", "assistant"]
    answer = chat.messages[2]
    assert (answer.texts, answer.texts[answer.shown]) == (("old answer", "kept answer"), "kept answer")
