"""Why an entry fired, or did not: the one documented list that traces and the test bench share."""

from enum import StrEnum


class Reason(StrEnum):
    """The reasons, in the order in which a scan comes to them; the first group fires.

    Of an entry that is looked at in several sweeps, the reason that came furthest is given.
    """

    KEY = "key"  # one of its keys is in the scanned text
    CONSTANT = "constant"
    STICKY = "sticky"  # fired earlier, and stays for some messages
    DECORATOR = "decorator"  # @@activate, or @@keep_activate_after_match
    FORCED = "forced"  # by retrieval or an extension

    DISABLED = "disabled"
    TRIGGER = "trigger"  # not for this type of generation
    CHARACTER_FILTER = "character_filter"  # not for this character
    DELAY = "delay"  # the chat is too short yet
    COOLDOWN = "cooldown"  # fired not long ago
    DELAY_UNTIL_RECURSION = "delay_until_recursion"  # no recursion sweep of its level came
    EXCLUDE_RECURSION = "exclude_recursion"  # only the chat may bring it up, and did not
    DECORATOR_SUPPRESSED = "decorator_suppressed"  # @@dont_activate, or a condition of a decorator
    NO_KEYS = "no_keys"
    NOT_SCANNED = "not_scanned"  # scan depth 0: it sees no text
    REGEX_REFUSED = "regex_refused"  # too long, too deep or too large a pattern
    REGEX_BUDGET = "regex_budget"  # its pattern, or all patterns of the scan, took too long
    KEY_MISSING = "key_missing"  # none of its keys is in the scanned text
    SECONDARY_KEYS = "secondary_keys"  # the secondary keys say no
    EXCLUDED_KEYS = "excluded_keys"  # @@exclude_keys or @@additional_keys say no
    GROUP_TAKEN = "group_taken"  # another of its group fired in an earlier sweep
    GROUP_SCORE = "group_score"  # another of its group matched more keys
    GROUP_LOST = "group_lost"  # another of its group was sticky, prioritised or drawn
    PROBABILITY = "probability"  # lost its roll
    BUDGET = "budget"  # did not fit, or came after one that did not fit
    SCAN_ENDED = "scan_ended"  # it would fire, but max_recursion_steps or the work limit came first
    BOOK_BUDGET = "book_budget"  # did not fit into the tokens of its own book


FIRED = frozenset((Reason.KEY, Reason.CONSTANT, Reason.STICKY, Reason.DECORATOR, Reason.FORCED))
STAGE = {reason: stage for stage, reason in enumerate(Reason)}
