"""What the end of a generation writes on its messages."""

from collections.abc import Iterable

import msgspec

from tertulia.conversations import rows
from tertulia.conversations.messages import parts_of_choice
from tertulia.storage.statement import Bound
from tertulia.turn.ending import Ending
from tertulia.turn.fold import Choice

_STATUS = {"completed": "complete", "cancelled": "cancelled", "interrupted": "interrupted", "failed": "failed"}


def store_answers(ending: Ending) -> Iterable[Bound]:
    """Store what came as the text of each answer, with how it ended."""
    for index, message_id in enumerate(ending.message_ids):
        choice = ending.choices[index] if index < len(ending.choices) else Choice()
        finish = ending.finish
        if ending.outcome == "completed":
            finish = next((f.reason for f in ending.finishes if f.choice == index), finish)
        yield rows.finish_message(
            parts_of_choice(choice).encoded(),
            choice.reasoning or None,
            _json(choice.opaque) if choice.opaque else None,
            _STATUS[ending.outcome],
            finish,
            _json(ending.fault) if ending.fault else None,
            _json(ending.cancel) if ending.cancel else None,
            _json(ending.usage),
            message_id,
        )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
