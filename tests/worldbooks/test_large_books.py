"""Large books: what is found does not hang on how the index is built. Times are the bench's business."""

import random

from tertulia.worldbooks.entries import Entry
from tertulia.worldbooks.lorebook import Lorebook
from tertulia.worldbooks.measure import Mix, measure, synthetic_book
from tests.worldbooks.scanning import scan, uids


def test_literals_are_found_by_the_automaton_as_one_by_one() -> None:
    dice = random.Random(4)
    letters = "abcé "
    keys = sorted({"".join(dice.choice(letters) for _ in range(dice.randint(1, 6))).strip() or "a" for _ in range(600)})
    text = "".join(dice.choice(letters) for _ in range(400))
    settings = {"match_whole_words": False, "include_names": False}
    large = Lorebook(name="b", entries=tuple(Entry(uid=uid, key=(key,)) for uid, key in enumerate(keys)))
    found = set(uids(scan(large, text, settings=settings)))
    assert found == {uid for uid, key in enumerate(keys) if key in text.strip()}
    assert 0 < len(found) < len(keys)


def test_a_book_is_measured() -> None:
    figures = measure(200, messages=3, rounds=3, mix=Mix(phrases=0.5, regexes=0.1))
    assert (figures.entries, figures.keys, figures.messages) == (200, 400, 3)
    assert 0 < figures.median_ms <= figures.p95_ms
    assert synthetic_book(5) == synthetic_book(5)


def test_very_long_and_very_many_keys() -> None:
    long = "x" * 5000
    keys = [f"{long}{at}" for at in range(50)]
    large = Lorebook(name="b", entries=tuple(Entry(uid=uid, key=(f"{key} y",)) for uid, key in enumerate(keys)))
    assert uids(scan(large, f"{keys[7]} y")) == [7]
