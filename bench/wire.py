"""What the mock upstream says and the load generator expects: OpenAI's chat wire, fixed to the byte.

Three answers, chosen by the request: a JSON completion, a burst (51 events back to back: 48 deltas, the finish chunk,
the usage chunk, `[DONE]`), and a paced stream, asked for by a model named `paced-EVENTS-MILLISECONDS`.
"""

import re
from typing import Final

BURST_DELTAS: Final = 48
BURST_EVENTS: Final = BURST_DELTAS + 3
PACED_EVENTS: Final = 60
PACE_MS: Final = 50
INSTANT: Final = "instant"
PROMPT_TOKENS: Final = 31

DONE: Final = b"data: [DONE]\n\n"
_VOCABULARY: Final = (
    *("the", "lamp", "by", "the", "door", "is", "lit", "and", "someone", "has", "put", "bread", "on", "the", "table"),
    *("for", "those", "who", "come", "late"),
)
_HEAD: Final = b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"instant",'
_PACED: Final = re.compile(rb"paced-(\d{1,6})-(\d{1,6})")
_CONTENT: Final = re.compile(rb'"content" ?: ?"([^"]*)"')


def paced_model(events: int = PACED_EVENTS, pace_ms: int = PACE_MS) -> str:
    """Name the model that answers with `events` deltas, one every `pace_ms` milliseconds."""
    return f"paced-{events}-{pace_ms}"


def pace_asked(body: bytes) -> tuple[int, int]:
    """Return the deltas and the milliseconds between them that a request's body asks for; (0, 0): no pace."""
    found = _PACED.search(body)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def words(count: int) -> list[str]:
    """Return the answer's first `count` deltas: plain words, each with its blank, nothing that JSON would escape."""
    return [_VOCABULARY[n % len(_VOCABULARY)] + " " for n in range(count)]


def text(deltas: int) -> str:
    """Return the whole text of an answer of so many deltas."""
    return "".join(words(deltas))


def completion() -> bytes:
    """Return the blocking answer's JSON."""
    return (
        b'{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"instant","choices":'
        b'[{"index":0,"message":{"role":"assistant","content":"%b"},"finish_reason":"stop"}],"usage":%b}'
    ) % (text(BURST_DELTAS).encode(), _usage(BURST_DELTAS))


def deltas(count: int) -> list[bytes]:
    """Return the SSE frames of so many deltas; the first carries the role, as OpenAI's does."""
    role, empty = b'"role":"assistant",', b""
    return [
        _HEAD
        + b'"choices":[{"index":0,"delta":{%b"content":"%b"},"finish_reason":null}]}\n\n'
        % (empty if n else role, word.encode())
        for n, word in enumerate(words(count))
    ]


def tail(deltas: int) -> list[bytes]:
    """Return the three frames after the last delta: finish, usage, `[DONE]`."""
    return [
        _HEAD + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        _HEAD + b'"choices":[],"usage":%b}\n\n' % _usage(deltas),
        DONE,
    ]


def chunked(data: bytes) -> bytes:
    """Frame bytes as one chunk of HTTP/1.1's chunked coding (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def pieces(stream: bytes) -> list[bytes]:
    """Return the non-empty content fragments of an SSE body, in order."""
    return [piece for piece in _CONTENT.findall(stream) if piece]


def question(model: str, *, stream: bool) -> bytes:
    """Return the request's JSON body; a stream asks for its usage, so that every system relays the same events."""
    streaming = b',"stream":true,"stream_options":{"include_usage":true}' if stream else b""
    return (
        b'{"model":"%b","messages":[{"role":"system","content":"Answer in one sentence, plainly."},{"role":"user",'
        b'"content":"Who is still awake at this hour, and what would they like to talk about?"}],"temperature":0.7%b}'
    ) % (model.encode(), streaming)


def _usage(completion_tokens: int) -> bytes:
    return b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (
        PROMPT_TOKENS,
        completion_tokens,
        PROMPT_TOKENS + completion_tokens,
    )
