"""What the vectors do not say: reasons, places of matches, several books, what st_strict changes."""

import pytest

from tertulia.worldbooks.activation import activate
from tertulia.worldbooks.index import prepare
from tertulia.worldbooks.matches import Author, Match
from tertulia.worldbooks.process import count_words
from tertulia.worldbooks.scan import Limits
from tertulia.worldbooks.settings import Message, ScanSettings, Scene
from tertulia.worldbooks.shelf import PlacedBook
from tests.worldbooks.scanning import book, reasons, scan, uids

CAT: dict[str, object] = {"uid": 1, "key": ["cat"], "content": "purr"}


# Reasons


@pytest.mark.parametrize(
    ("entry", "settings", "reason"),
    [
        ({}, {}, "key"),
        ({"key": [], "constant": True}, {}, "constant"),
        ({"key": [], "content": "@@activate\nx"}, {}, "decorator"),
        ({"disable": True}, {}, "disabled"),
        ({"triggers": ["swipe"]}, {}, "trigger"),
        ({"characterFilter": {"isExclude": False, "names": ["mia"], "tags": []}}, {}, "character_filter"),
        ({"delay": 5}, {}, "delay"),
        ({"delayUntilRecursion": 1}, {}, "delay_until_recursion"),
        ({"content": "@@dont_activate\nx"}, {}, "decorator_suppressed"),
        ({"key": []}, {}, "no_keys"),
        ({"key": ["dog"]}, {}, "key_missing"),
        ({}, {"depth": 0}, "not_scanned"),
        ({"scanDepth": 0}, {}, "not_scanned"),
        ({"keysecondary": ["dog"]}, {}, "secondary_keys"),
        ({"probability": 10}, {}, "probability"),
        ({"content": "w " * 50}, {"max_context": 100}, "budget"),
        ({"key": ["/" + "x" * 2000 + "/"]}, {}, "regex_refused"),
        ({"key": ["/(?:x{900}){900}/"]}, {}, "regex_refused"),
    ],
)
def test_reason(entry: dict[str, object], settings: dict[str, object], reason: str) -> None:
    got = scan([{**CAT, **entry}], "a cat", settings=settings, explain=True)
    assert reasons(got) == {1: reason}
    assert bool(got.fired) == (reason in ("key", "constant", "decorator"))


def test_reasons_of_groups() -> None:
    lost = scan([{**CAT, "group": "g", "groupOverride": True}, {**CAT, "uid": 2, "group": "g"}], "cat")
    assert reasons(lost) == {1: "key", 2: "group_lost"}
    scored = scan(
        [{**CAT, "group": "g"}, {**CAT, "uid": 2, "group": "g", "key": ["cat", "dog"]}],
        "cat dog",
        settings={"use_group_scoring": True},
    )
    assert reasons(scored) == {1: "group_score", 2: "key"}
    taken = scan([{**CAT, "group": "g", "content": "dog"}, {**CAT, "uid": 2, "group": "g", "key": ["dog"]}], "cat")
    assert reasons(taken) == {1: "key", 2: "group_taken"}


def test_excluded_from_recursion_says_so_only_where_that_was_the_cause() -> None:
    entries = [{**CAT, "content": "dog"}, {"uid": 2, "key": ["dog"], "excludeRecursion": True}]
    assert reasons(scan(entries, "cat"))[2] == "exclude_recursion"


def test_what_comes_after_the_last_step_is_told() -> None:
    entries = [{**CAT, "content": "dog"}, {"uid": 2, "key": ["dog"]}]
    got = scan(entries, "cat", settings={"max_recursion_steps": 1}, explain=True)
    assert reasons(got) == {1: "key", 2: "scan_ended"}


def test_cooldown_and_sticky_are_reasons() -> None:
    entries = [{**CAT, "sticky": 1, "cooldown": 3}]
    first = scan(entries, "cat")
    second = scan(entries, "cat", "cat", state=first.timed)
    assert reasons(first) == {1: "key"}
    assert reasons(second) == {1: "cooldown"}
    stays = scan([{**CAT, "sticky": 5}], "cat")
    assert reasons(scan([{**CAT, "sticky": 5}], "cat", "x", "y", state=stays.timed)) == {1: "sticky"}


def test_forced_is_a_reason_and_takes_a_book_with_the_uid() -> None:
    scene = Scene(forced=("global.1",))
    assert reasons(scan([CAT], "x", scene=scene)) == {1: "forced"}
    assert reasons(scan([CAT], "x", scene=Scene(forced=("other.1",)), explain=True)) == {1: "key_missing"}


def test_without_explain_only_what_was_looked_at_is_told() -> None:
    entries = [{**CAT, "probability": 0}, {"uid": 2, "key": ["dog"]}]
    assert reasons(scan(entries, "cat")) == {1: "probability"}
    assert reasons(scan(entries, "cat", explain=True)) == {1: "probability", 2: "key_missing"}


# Matches


def test_match_is_placed_in_the_message_as_it_was_given() -> None:
    got = scan([CAT], "  my cat", "yours")
    assert got.fired[0].match == Match(where="message", index=0, start=5, end=8)
    assert got.fired[0].key == "cat"


def test_match_in_the_name_of_the_speaker() -> None:
    got = scan([{**CAT, "key": ["user"]}], "hello")
    assert got.fired[0].match == Match(where="speaker", index=0, start=0, end=4)


def test_match_of_a_regex_and_of_letters_that_grow_in_lower_case() -> None:
    got = scan([{**CAT, "key": ["/c.t/i"]}], "İİ a CAT")
    assert got.fired[0].match == Match(where="message", index=0, start=5, end=8)
    got = scan([CAT], "İİ a CAT")
    assert got.fired[0].match == Match(where="message", index=0, start=5, end=8)


def test_match_by_recursion_names_the_entry_that_brought_it_up() -> None:
    got = scan([{**CAT, "content": "a dog"}, {"uid": 7, "key": ["dog"], "content": "woof"}], "cat")
    assert got.fired[1].match == Match(where="recursion", index=0, start=2, end=5, author=Author("global", 1))
    assert got.fired[1].sweep == 2


def test_match_in_a_source_and_an_injection() -> None:
    scene = Scene(character_description="A cat.", injections=("the owl",))
    entries = [{**CAT, "matchCharacterDescription": True}, {"uid": 2, "key": ["owl"]}]
    got = scan(entries, "x", scene=scene)
    assert [verdict.match for verdict in got.fired] == [
        Match(where="character_description", index=0, start=2, end=5),
        Match(where="injection", index=0, start=4, end=7),
    ]


# Books


def placed(scope: str, name: str, *entries: dict[str, object], identity: str = "") -> PlacedBook:
    return PlacedBook(scope, prepare(book(*entries, name=name), identity=identity))  # pyright: ignore[reportArgumentType]


def activate_books(*books: PlacedBook, text: str = "cat", **settings: object) -> list[int | str]:
    activation = activate(
        books,
        [Message("User", text)],
        Scene(),
        settings=ScanSettings(**settings),  # pyright: ignore[reportArgumentType]
        random=lambda: 0.5,
        count_tokens=count_words,
        expand=lambda text: text,
    )
    return uids(activation)


@pytest.mark.parametrize(("strategy", "order"), [(0, [4, 3, 1, 2]), (1, [4, 3, 2, 1]), (2, [4, 3, 1, 2])])
def test_order_of_scopes(strategy: int, order: list[int]) -> None:
    books = (
        placed("global", "g", {**CAT, "order": 50}),
        placed("character", "c", {**CAT, "uid": 2, "order": 40}),
        placed("persona", "p", {**CAT, "uid": 3, "order": 1}),
        placed("chat", "h", {**CAT, "uid": 4, "order": 1}),
    )
    assert activate_books(*books, strategy=strategy) == order


def test_a_book_of_several_sources_is_used_once() -> None:
    entries = ({**CAT, "order": 1},)
    books = [placed(scope, "same", *entries) for scope in ("character", "chat", "global", "persona")]
    assert activate_books(*books) == [1]
    other = placed("character", "same", *entries, identity="another of that name")
    assert activate_books(*books, other) == [1, 1]


def test_settings_of_a_book_override_those_of_the_scan() -> None:
    assert uids(scan(book(CAT, scan_depth=3), "cat", "x", "y")) == [1]
    assert uids(scan(book({**CAT, "scanDepth": 1}, scan_depth=3), "cat", "x", "y")) == []
    chain = ({**CAT, "content": "dog"}, {"uid": 2, "key": ["dog"]})
    assert uids(scan(book(*chain, recursive_scanning=False), "cat")) == [1]
    assert uids(scan(book(*chain, recursive_scanning=True), "cat", settings={"recursive": False})) == [1, 2]


def test_the_token_budget_of_a_book_holds_for_its_entries_alone() -> None:
    small = book({**CAT, "content": "w w w", "order": 200}, {**CAT, "uid": 2, "content": "w w"}, token_budget=4)
    got = scan(small, "cat")
    assert reasons(got) == {1: "key", 2: "book_budget"}
    assert not got.overflow


def test_uids_are_taken_in_ascending_order_whatever_the_list_says() -> None:
    assert uids(scan([{**CAT, "uid": 9}, {**CAT, "uid": 2}, {**CAT, "uid": "x"}], "cat")) == [2, 9, "x"]


# Keys


def test_a_prepared_book_serves_every_setting() -> None:
    prepared = [PlacedBook("global", prepare(book({**CAT, "key": ["Cat"]})))]

    def fires(text: str, **settings: object) -> bool:
        return bool(activate_books(*prepared, text=text, **settings))

    assert fires("a cat")
    assert not fires("a cat", case_sensitive=True)
    assert not fires("cats")
    assert fires("cats", match_whole_words=False)


@pytest.mark.parametrize(
    ("key", "text", "fires"),
    [
        ("café", "le café noir", True),
        ("caf", "le café noir", True),  # é is no ASCII letter, so the word ends before it
        ("c++", "I like C++!", True),
        ("c++", "I like C++11", False),
        ("a-b", "xa-b a-b.", True),
        ("a-b", "xa-bxa-b" * 100, False),
        ("猫", "黒猫が", True),
        ("/[/", "see /[/ here", True),  # no regex, so a literal
        ("/a/b/", "see /a/b/", True),
        ("//", "either // or", True),
        ("/x/gg", "try /x/gg", True),
        ("/X/i", "x", True),
        ("\x01User", "hello", True),
        ("hi\n\x01user", "hi", False),
        ("<USER>", "User", True),
    ],
)
def test_key(key: str, text: str, fires: bool) -> None:
    expand = lambda text: text.replace("<USER>", "User")  # noqa: E731
    assert bool(scan([{**CAT, "key": [key]}], text, expand=expand).fired) == fires


def test_keys_reach_over_messages_only_with_the_mark_between_them() -> None:
    key = {**CAT, "key": ["two\n\x01User: one"]}
    assert uids(scan([key], "one", "two")) == [1]
    assert uids(scan([{**CAT, "key": ["/two\\s\\x01User: one/"]}], "one", "two")) == [1]
    assert uids(scan([{**CAT, "key": ["two one"]}], "one", "two")) == []


def test_a_macro_in_a_key_is_expanded_once_a_scan() -> None:
    asked: list[str] = []

    def expand(text: str) -> str:
        asked.append(text)
        return text.replace("{{user}}", "User")

    entries = [{"uid": at, "key": ["{{user}}"], "content": "c"} for at in range(5)]
    assert len(scan(entries, "User", expand=expand).fired) == 5
    assert asked.count("{{user}}") == 1


# st_strict


LOOSE = {"st_strict": False}


def test_whole_comma_lists_are_compared_only_when_strict() -> None:
    entries = [{**CAT, "content": "dog", "group": "a,b"}, {"uid": 2, "key": ["dog"], "group": "a"}]
    assert uids(scan(entries, "cat")) == [1, 2]
    assert uids(scan(entries, "cat", settings=LOOSE)) == [1]


def test_widening_goes_one_too_far_only_when_strict() -> None:
    entries = [{**CAT}, {"uid": 2, "key": ["dog"]}]
    lines = ("x", "cat", "y", "dog", "z")
    settings = {"depth": 2, "min_activations": 2, "min_activations_depth_max": 3, "recursive": False}
    assert uids(scan(entries, *lines, settings=settings)) == [2, 1]
    assert uids(scan(entries, *lines, settings={**settings, **LOOSE})) == [2]


def test_blank_keys_and_zero_probability() -> None:
    assert uids(scan([{**CAT, "key": ["  "]}], "x")) == [1]
    assert uids(scan([{**CAT, "key": ["  "]}], "x", settings=LOOSE)) == []
    assert uids(scan([{**CAT, "probability": 0}], "cat", rng=(0.0,))) == [1]
    assert uids(scan([{**CAT, "probability": 0}], "cat", rng=(0.0,), settings=LOOSE)) == []


def test_an_overflowing_entry_feeds_forced_sweeps_only_when_strict() -> None:
    entries = [
        {"uid": 1, "key": ["cat"], "content": "dog " + "w " * 20},
        {"uid": 2, "key": ["dog"], "delayUntilRecursion": 1, "ignoreBudget": True},
        {"uid": 3, "key": ["none"], "delayUntilRecursion": 2},
    ]
    small = {"max_context": 40}
    assert uids(scan(entries, "cat", settings=small)) == [2]
    assert uids(scan(entries, "cat", settings={**small, **LOOSE})) == []


@pytest.mark.parametrize(
    ("decorators", "lines", "scene", "fires"),
    [
        ("@@activate_only_after 1", 1, {}, False),
        ("@@activate_only_after 1", 2, {}, True),
        ("@@activate_only_every 2", 2, {}, False),
        ("@@activate_only_every 2", 4, {}, True),
        ("@@is_greeting 1", 1, {"greeting": 1}, True),
        ("@@is_greeting 1", 1, {"greeting": 0}, False),
        ("@@is_user_icon mask", 1, {"user_icon": "mask"}, True),
        ("@@is_user_icon mask", 1, {}, False),
        ("@@exclude_keys fish,line", 1, {}, False),
        ("@@exclude_keys fish", 1, {}, True),
        ("@@additional_keys fish, line", 1, {}, True),
        ("@@additional_keys fish", 1, {}, False),
        ("@@nonsense\n@@@dont_activate", 1, {}, False),
        ("@@is_greeting x\n@@@nonsense\n@@@dont_activate", 1, {}, False),
        ("@@scan_depth 2\n@@@dont_activate", 1, {}, True),
        ("@@dont_activate\n@@activate", 1, {}, True),
    ],
)
def test_decorators_of_the_card_specification(
    decorators: str, lines: int, scene: dict[str, object], fires: bool
) -> None:
    chat = [Message(("User", "Bot")[at % 2], "a cat in line") for at in range(lines)]
    entries = [{**CAT, "content": f"{decorators}\nbody"}]
    activation = activate(
        [PlacedBook("global", prepare(book(*entries)))],
        chat,
        Scene(**scene),  # pyright: ignore[reportArgumentType]
        settings=ScanSettings(st_strict=False),
        random=lambda: 0.5,
        count_tokens=count_words,
        expand=lambda text: text,
    )
    assert bool(activation.fired) == fires
    assert [verdict.content for verdict in activation.fired] == ["body"][: int(fires)]


def test_decorators_that_place() -> None:
    content = "@@depth 1\n@@role assistant\nbody"
    got = scan([{**CAT, "content": content}], "cat", settings=LOOSE)
    assert [(at.depth, at.role, at.entries) for at in got.prompt.depth] == [(1, 2, ("body",))]
    got = scan([{**CAT, "content": "@@reverse_depth 1\nbody"}], "x", "y", "cat", settings=LOOSE)
    assert [(at.depth, at.role) for at in got.prompt.depth] == [(2, 0)]
    got = scan([{**CAT, "content": "@@depth 1\n@@position after_desc\nbody"}], "cat", settings=LOOSE)
    assert got.prompt.after == "body"


def test_decorators_that_remember() -> None:
    keep = [{**CAT, "content": "@@keep_activate_after_match\nbody"}]
    first = scan(keep, "cat", settings=LOOSE)
    assert uids(scan(keep, "x", state=first.timed, settings=LOOSE)) == [1]
    assert uids(scan(keep, "x", settings=LOOSE)) == []
    once = [{**CAT, "content": "@@dont_activate_after_match\nbody"}]
    first = scan(once, "cat", settings=LOOSE)
    assert uids(first) == [1]
    assert uids(scan(once, "cat", state=first.timed, settings=LOOSE)) == []


def test_hidden_keys_are_seen_by_recursion_alone() -> None:
    entries = [{**CAT, "content": "purr{{hidden_key:dog}}"}, {"uid": 2, "key": ["dog"], "content": "woof"}]
    got = scan(entries, "cat", settings=LOOSE)
    assert uids(got) == [1, 2]
    assert got.prompt.before == "woof\npurr"


# Timed effects and limits


def test_a_dry_run_reads_no_sticky_and_leaves_the_state_alone() -> None:
    entries = [{**CAT, "sticky": 5}, {**CAT, "uid": 2, "delay": 9}]
    first = scan(entries, "cat")
    dry = scan(entries, "x", "y", state=first.timed, dry_run=True)
    assert uids(dry) == []
    assert dry.timed == first.timed
    assert reasons(scan(entries, "cat", dry_run=True))[2] == "delay"


def test_editing_an_entry_breaks_with_its_effects_and_keeps_the_name_taken() -> None:
    first = scan([{**CAT, "sticky": 5}], "cat")
    edited = [{**CAT, "sticky": 5, "content": "meow"}]
    second = scan(edited, "x", "y", state=first.timed)
    assert uids(second) == []
    assert second.timed.sticky == first.timed.sticky
    third = scan(edited, "x", "y", "cat", state=second.timed)
    assert third.timed.sticky == first.timed.sticky


def test_the_work_limit_ends_a_scan_and_says_so() -> None:
    chain = [{"uid": at, "key": [f"k{at}"], "content": f"k{at + 1}"} for at in range(50)]
    assert len(scan(chain, "k0").fired) == 50
    got = scan(chain, "k0", limits=Limits(work=100))
    assert got.truncated
    assert 0 < len(got.fired) < 50


def test_outlets_examples_and_unknown_positions() -> None:
    entries = [
        {**CAT, "uid": 1, "position": 5, "content": "top"},
        {**CAT, "uid": 2, "position": 6, "content": "bottom"},
        {**CAT, "uid": 3, "position": 99, "content": "nowhere"},
        {**CAT, "uid": 4, "position": 3, "content": "below"},
    ]
    got = scan(entries, "cat", scene=Scene(an="NOTE"))
    assert [(example.position, example.content) for example in got.prompt.em] == [(1, "bottom"), (0, "top")]
    assert got.prompt.an == "NOTE\nbelow"
    assert len(got.fired) == 4
