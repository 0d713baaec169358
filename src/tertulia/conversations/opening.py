"""Opening a conversation with a turn: its rows, in the transaction that begins the generation."""

from typing import Any, Literal

import msgspec

from tertulia.conversations import rows
from tertulia.conversations.messages import Parts, parts_of_message, show_new
from tertulia.conversations.titles import UNTITLED, preview_of, title_of
from tertulia.kernel.errors import Invalid
from tertulia.kernel.ids import new_id
from tertulia.storage.statement import Bound
from tertulia.turn.content import Message
from tertulia.turn.request import Request

_STORED = {"user": "user", "assistant": "assistant", "tool": "tool", "function": "tool"}


Waiting = Literal["queued", "streaming"]


class Opening(msgspec.Struct, frozen=True):
    """A turn about to be stored.

    `message_ids` are the answers to come, one for each choice. `writes` belong to the transaction that begins the
    generation, `begun` are to be written when its turn comes after a wait.
    """

    conversation_id: bytes
    anchor_id: bytes
    user_message_id: bytes | None
    message_ids: tuple[bytes, ...]
    user_message: dict[str, Any] | None
    assistant_message: dict[str, Any]
    writes: tuple[Bound, ...]
    begun: tuple[Bound, ...] = ()


def open_conversation(
    request: Request, *, user_id: bytes, generation_id: bytes, model: str, source: str, at: int, status: Waiting
) -> Opening:
    """Make a new conversation of the request's messages, with an empty answer for each choice under the last.

    `system` and `developer` messages apply to the request and are not stored. Raises `Invalid` where nothing is left
    to store.
    """
    kept = [message for message in request.messages if message.role in _STORED]
    if not kept:
        raise Invalid("There is no user message to store. Send one, or leave out save_to_db.", path="messages")
    conversation_id = new_id()
    path = [(new_id(), message, parts_of_message(message)) for message in kept]
    answers = tuple(new_id() for _ in range(request.choices))
    last_id = path[-1][0]
    asked = next((index for index in reversed(range(len(path))) if path[index][1].role == "user"), None)
    first_text = next((parts.text for _, message, parts in path if message.role == "user"), "")
    writes = [
        rows.insert_conversation(
            conversation_id,
            user_id,
            conversation_id,
            title_of(first_text) if first_text else UNTITLED,
            model,
            source,
            answers[0],
            preview_of(path[-1][2].text),
            len(path) + len(answers),
            1,
            at,
            at,
            at,
        )
    ]
    writes += _path_rows(conversation_id, path, at)
    depth = len(path)
    empty = Parts().encoded()
    writes += [
        rows.insert_message(
            answer, conversation_id, last_id, depth, "assistant", empty, model, generation_id, status, 1, at
        )
        for answer in answers
    ]
    return Opening(
        conversation_id=conversation_id,
        anchor_id=last_id,
        user_message_id=path[asked][0] if asked is not None else None,
        message_ids=answers,
        user_message=_show_asked(path, asked, len(answers), at) if asked is not None else None,
        assistant_message=show_new(
            message_id=answers[0],
            parent_id=last_id,
            siblings=answers,
            role="assistant",
            parts=Parts(),
            status=status,
            created_at=at,
            child_count=0,
            model=model,
            generation_id=generation_id,
        ),
        writes=tuple(writes),
        begun=tuple(rows.begin_answer(answer) for answer in answers) if status == "queued" else (),
    )


def _path_rows(conversation_id: bytes, path: list[tuple[bytes, Message, Parts]], at: int) -> list[Bound]:
    made: list[Bound] = []
    parent: bytes | None = None
    for depth, (message_id, message, parts) in enumerate(path):
        role = _STORED[message.role]
        made.append(
            rows.insert_message(
                message_id, conversation_id, parent, depth, role, parts.encoded(), None, None, "complete", 1, at
            )
        )
        parent = message_id
    return made


def _show_asked(path: list[tuple[bytes, Message, Parts]], asked: int, answers: int, at: int) -> dict[str, Any]:
    message_id, message, parts = path[asked]
    return show_new(
        message_id=message_id,
        parent_id=path[asked - 1][0] if asked else None,
        siblings=(message_id,),
        role=message.role,
        parts=parts,
        status="complete",
        created_at=at,
        child_count=answers if asked == len(path) - 1 else 1,
    )
