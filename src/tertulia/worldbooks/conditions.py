"""What decides about an entry before its keys do: for whom it is, when, and what its decorators say."""

from collections.abc import Sequence

from tertulia.worldbooks.entries import CharacterFilter
from tertulia.worldbooks.reasons import Reason
from tertulia.worldbooks.settings import Message, Scene
from tertulia.worldbooks.shelf import Candidate
from tertulia.worldbooks.timed import Live


class Conditions:
    """The conditions that one scene sets."""

    def __init__(self, scene: Scene, messages: Sequence[Message], live: Live) -> None:
        self._scene = scene
        self._live = live
        self._length = len(messages)
        self._answers = sum(
            message.role == "assistant" if message.role else message.name != scene.user for message in messages
        )

    def permanent(self, candidate: Candidate) -> Reason | None:
        """Give what keeps an entry out of the whole scan."""
        entry = candidate.row.entry
        if entry.disable:
            return Reason.DISABLED
        if entry.triggers and self._scene.trigger not in entry.triggers:
            return Reason.TRIGGER
        if entry.character_filter is not None and not self._meant(entry.character_filter):
            return Reason.CHARACTER_FILTER
        if entry.delay and self._length < entry.delay:
            return Reason.DELAY
        return Reason.COOLDOWN if candidate.cooling and not candidate.sticky else None

    def _meant(self, wanted: CharacterFilter) -> bool:
        by_name = not wanted.names or (self._scene.char_file in wanted.names) != wanted.is_exclude
        shared = any(tag in wanted.tags for tag in self._scene.char_tags)
        return by_name and (not wanted.tags or shared != wanted.is_exclude)

    def decorated(self, candidate: Candidate) -> Reason | None:
        """Give what the decorators say, if they settle it."""
        decorators = candidate.row.decorators
        if decorators.activate:
            return Reason.DECORATOR
        if decorators.dont_activate or not self._holds(candidate):
            return Reason.DECORATOR_SUPPRESSED
        if decorators.remembers and self._matched_before(candidate):
            return Reason.DECORATOR_SUPPRESSED if decorators.dont_activate_after_match else Reason.DECORATOR
        return None

    def _holds(self, candidate: Candidate) -> bool:
        decorators = candidate.row.decorators
        after, every = decorators.activate_only_after, decorators.activate_only_every
        return (
            (after is None or self._answers >= after)
            and (every is None or self._answers % every == 0)
            and decorators.is_greeting in (None, self._scene.greeting)
            and decorators.is_user_icon in (None, self._scene.user_icon)
        )

    def _matched_before(self, candidate: Candidate) -> bool:
        timed = candidate.row.timed
        return timed is not None and self._live.state.matched.get(timed.name) == timed.hash

    def unkeyed(self, candidate: Candidate) -> Reason | None:
        """Give what lets an entry fire without a key."""
        if candidate.forced:
            return Reason.FORCED
        if candidate.row.entry.constant:
            return Reason.CONSTANT
        return Reason.STICKY if candidate.sticky else None
