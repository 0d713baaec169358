"""What a scan is told: the settings, and the scene that it looks at. Names and defaults are those of the vectors."""

import math
from typing import Final, Literal

import msgspec

MAX_SCAN_DEPTH: Final = 1000


class ScanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one scan (characters, 3.2). `strategy`: 0 evenly, 1 character first, 2 global first.

    `budget_pct` is of `max_context` tokens; 0 in `max_recursion_steps`, `min_activations`, `budget_cap` is off.
    `st_strict` keeps SillyTavern's behaviour where it differs from the card specification.
    """

    depth: int = 2
    recursive: bool = True
    max_recursion_steps: int = 0
    min_activations: int = 0
    min_activations_depth_max: int = 0
    case_sensitive: bool = False
    match_whole_words: bool = True
    use_group_scoring: bool = False
    budget_pct: float = 25
    budget_cap: int = 0
    strategy: int = 1
    include_names: bool = True
    max_context: int = 100_000
    st_strict: bool = True

    @property
    def token_budget(self) -> int:
        """Give the budget in tokens: the share of the context, rounded half up, never 0, at most the cap."""
        share = 25.0 if self.budget_pct > 100 else self.budget_pct
        budget = math.floor(share * self.max_context / 100 + 0.5) or 1
        return min(budget, self.budget_cap) if self.budget_cap > 0 else budget


class Message(msgspec.Struct, frozen=True):
    """One message of the chat, without system and hidden ones; `role` where it is known."""

    name: str
    text: str
    role: Literal["user", "assistant"] | None = None


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks and what else is looked at. `an` is the author's note, None on a turn where it is not due.

    `char_file` is the card's file stem; `injections` are prompt texts flagged for scanning; `forced` are uids (or
    `<book>.<uid>`) that retrieval or an extension brings in. `greeting` and `user_icon` serve the decorators.
    """

    user: str = "User"
    char: str = "Bot"
    char_file: str = ""
    char_tags: tuple[str, ...] = ()
    trigger: str = "normal"
    an: str | None = None
    persona_description: str = ""
    character_description: str = ""
    character_personality: str = ""
    character_depth_prompt: str = ""
    scenario: str = ""
    creator_notes: str = ""
    injections: tuple[str, ...] = ()
    forced: tuple[int | str, ...] = ()
    greeting: int | None = None
    user_icon: str = ""
