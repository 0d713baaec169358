"""Log probabilities in OpenAI's form, whatever wire they came by."""

from collections.abc import Iterable
from typing import Any, cast

Json = dict[str, Any]


def logprobs_block(value: Any) -> Json:
    """Give what came with a piece as OpenAI's object: it is that, a bare list, or Gemini's `logprobsResult`."""
    if not isinstance(value, dict):
        return {"content": value if isinstance(value, list) else None, "refusal": None}
    block = cast("Json", value)
    if "chosenCandidates" not in block:
        return block
    chosen = _dicts(block["chosenCandidates"])
    others = [_dicts(step.get("candidates")) for step in _dicts(block.get("topCandidates"))]
    others += [[]] * (len(chosen) - len(others))
    content = [
        {**_token(one), "top_logprobs": [_token(each) for each in top]}
        for one, top in zip(chosen, others, strict=False)
    ]
    return {"content": content, "refusal": None}


def joined_logprobs(pieces: Iterable[Any]) -> Json | None:
    """Put the log probabilities of a stream together: the lists of each name, joined; None where there are none."""
    joined: dict[str, list[Any]] = {}
    for piece in pieces:
        for name, values in logprobs_block(piece).items():
            if isinstance(values, list):
                joined.setdefault(name, []).extend(cast("list[Any]", values))
    return {"content": None, "refusal": None, **joined} if joined else None


def _token(candidate: Json) -> Json:
    token = str(candidate.get("token", ""))
    return {"token": token, "logprob": candidate.get("logProbability"), "bytes": list(token.encode())}


def _dicts(value: Any) -> list[Json]:
    return [each for each in cast("list[Any]", value) if isinstance(each, dict)] if isinstance(value, list) else []
