"""A second, slow way to the same result: characters 3.3 to 3.6 word for word, every entry in every sweep.

It knows literal keys, secondary keys, recursion, delay levels, widening, groups, probability, budget. The tests hold it
against the real thing, which works from an index and never looks at most entries.
"""

import re
from collections.abc import Callable
from typing import Any

Entry = dict[str, Any]


def has(key: str, text: str, entry: Entry, *, whole: bool) -> bool:
    if not key:
        return False
    needle, hay = key.strip(), text
    if not entry["caseSensitive"]:
        needle, hay = needle.lower(), hay.lower()
    if not whole or re.search(r"\s", needle):
        return needle in hay
    return re.search(rf"(?:^|[^0-9A-Za-z_]){re.escape(needle)}(?:$|[^0-9A-Za-z_])", hay) is not None


class Reference:
    def __init__(
        self, entries: list[Entry], lines: list[str], settings: dict[str, Any], rng: Callable[[], float]
    ) -> None:
        self.entries = sorted(entries, key=lambda entry: -entry["order"])
        self.lines = [f"User: {line}".strip() for line in lines][::-1]
        self.settings = settings
        self.rng = rng
        self.active: list[Entry] = []
        self.failed: list[Entry] = []
        self.recursed: list[str] = []
        self.depth = settings["depth"]
        self.overflow = False
        self.levels = sorted({entry["delayUntilRecursion"] for entry in entries if entry["delayUntilRecursion"]})
        self.level = self.levels.pop(0) if self.levels else 0

    def run(self) -> list[int]:
        kind, steps = "first", 0
        while kind and not 0 < self.settings["max_recursion_steps"] <= steps:
            steps += 1
            passed = self.admit(self.choose([entry for entry in self.entries if self.takes(entry, kind)], kind))
            kind = self.following(kind, passed)
            text = "\n".join(entry["content"] for entry in passed if not entry["preventRecursion"])
            if kind and text:
                self.recursed.append(text)
        return [entry["uid"] for entry in self.active]

    def text(self, entry: Entry, kind: str) -> str:
        depth = self.depth if entry["scanDepth"] is None else entry["scanDepth"]
        if depth <= 0:
            return ""
        parts = ["\n\x01".join(self.lines[:depth]), *(self.recursed if kind != "widened" else [])]
        return "\x01" + "\n\x01".join(parts)

    def takes(self, entry: Entry, kind: str) -> bool:
        recursing = kind == "recursion"
        if entry in self.active or entry in self.failed or entry["disable"]:
            return False
        if entry["delayUntilRecursion"] and (not recursing or entry["delayUntilRecursion"] > self.level):
            return False
        if recursing and self.settings["recursive"] and entry["excludeRecursion"]:
            return False
        if entry["constant"]:
            return True
        text = self.text(entry, kind)
        return bool(text) and self.keyed(entry, text)

    def keyed(self, entry: Entry, text: str) -> bool:
        whole = self.settings["match_whole_words"]
        if not any(has(key, text, entry, whole=whole) for key in entry["key"]):
            return False
        found = [has(key, text, entry, whole=whole) for key in entry["keysecondary"]]
        if not found:
            return True
        return (any(found), not all(found), not any(found), all(found))[entry["selectiveLogic"]]

    def choose(self, taken: list[Entry], kind: str) -> list[Entry]:
        names = dict.fromkeys(entry["group"] for entry in taken if entry["group"])
        for name in names:
            group = [entry for entry in taken if entry["group"] == name]
            group = self.best(group, kind)
            kept = group
            if any(entry["group"] == name for entry in self.active):
                kept = []
            elif len(group) > 1:
                kept = [self.winner(group)]
            taken = [entry for entry in taken if entry["group"] != name or entry in kept]
        return taken

    def best(self, group: list[Entry], kind: str) -> list[Entry]:
        if not self.settings["use_group_scoring"]:
            return group
        scores = [self.score(entry, self.text(entry, kind)) for entry in group]
        return [entry for entry, score in zip(group, scores, strict=True) if score == max(scores)]

    def score(self, entry: Entry, text: str) -> int:
        whole = self.settings["match_whole_words"]
        if not entry["key"] or not text:
            return 0
        first = sum(has(key, text, entry, whole=whole) for key in entry["key"])
        second = sum(has(key, text, entry, whole=whole) for key in entry["keysecondary"])
        if entry["selectiveLogic"] == 0:
            return first + second
        return first + second if entry["selectiveLogic"] == 3 and second == len(entry["keysecondary"]) else first

    def winner(self, group: list[Entry]) -> Entry:
        first = [entry for entry in group if entry["groupOverride"]]
        if first:
            return max(first, key=lambda entry: entry["order"])
        roll = self.rng() * sum(entry["groupWeight"] for entry in group)
        reached = 0
        for entry in group:
            reached += entry["groupWeight"]
            if reached >= roll:
                return entry
        raise AssertionError("a roll beyond the sum of the weights")

    def admit(self, chosen: list[Entry]) -> list[Entry]:
        used = sum(len(text.split()) for text in self.recursed)
        failed: list[Entry] = []
        for entry in chosen:
            if self.overflow and not entry["ignoreBudget"]:
                continue
            if entry["probability"] != 100 and self.rng() * 100 > entry["probability"]:
                failed.append(entry)
                continue
            used += len(entry["content"].split())
            if used >= self.settings["budget"] and not entry["ignoreBudget"]:
                self.overflow = True
            else:
                self.active.append(entry)
        self.failed += failed
        return [entry for entry in chosen if entry not in failed]

    def following(self, kind: str, passed: list[Entry]) -> str:
        if self.settings["recursive"] and not self.overflow:
            fresh = any(not entry["preventRecursion"] for entry in passed)
            if fresh or (kind == "widened" and self.recursed):
                return "recursion"
        least = self.settings["min_activations"]
        if not self.overflow and len(self.active) < least and self.depth <= len(self.lines):
            self.depth += 1
            return "widened"
        if self.levels:
            self.level = self.levels.pop(0)
            return "recursion"
        return ""
