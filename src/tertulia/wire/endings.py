"""How an ending that is no answer is told: the error, with all that lets a client find what was kept."""

from typing import Any

from tertulia.turn.events import Ended, Fault, Started
from tertulia.turn.fold import Gap

_UNKNOWN = Fault("internal", "The generation ended without a reason; the server's log has more.")

_GAPS = {
    "crash": Fault("interrupted", "The process that wrote this answer died, and what it sent last is gone."),
    "slow": Fault("interrupted", "This answer was read too slowly, and what lies between is no longer here."),
    "folded": Fault("generation_expired", "The pieces of this answer are no longer kept, only the whole."),
}


def fault_of(ended: Ended) -> Fault:
    """Give what a generation failed of."""
    return ended.fault or _UNKNOWN


def fault_of_gap(gap: Gap, started: Started | None) -> Fault:
    """Give the error that stands for a gap in a dialect whose clients cannot take back what they have."""
    fault = _GAPS[gap.reason]
    if started is None:
        return fault
    where = f"Read the whole of it at GET /api/generations/{started.generation_id}."
    return Fault(fault.code, f"{fault.message} {where}", {"generationId": started.generation_id})


def failure_details(started: Started, ended: Ended) -> dict[str, Any]:
    """Give `details` of a failure: ids, whether something of the answer came, and what the fault itself says."""
    ids = {
        "generationId": started.generation_id,
        "conversationId": started.conversation_id,
        "userMessageId": started.user_message_id,
        "messageId": started.message_id,
    }
    details: dict[str, Any] = {name: value for name, value in ids.items() if value is not None}
    if ended.partial:
        details["partial"] = True
    return {**(fault_of(ended).details or {}), **details}
