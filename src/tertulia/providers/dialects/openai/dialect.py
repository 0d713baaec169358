"""The dialect: OpenAI Chat Completions, and everything that says it is compatible with it."""

from collections.abc import Mapping
from typing import Any, Final

from tertulia.kernel.secret import Secret
from tertulia.net.sse import IMAGE_LINE_CAP, LINE_CAP, SseParser
from tertulia.providers.dialects.decoder import StreamDecoder, WholeDecoder
from tertulia.providers.dialects.openai.answer import WIRE, ChatAnswer
from tertulia.providers.dialects.openai.request import encode
from tertulia.providers.dialects.reading import (
    Json,
    count_of,
    dict_of,
    dicts_of,
    list_of,
    read_json,
    text_of,
    without_nul,
)
from tertulia.providers.failures import failure_of, unreadable
from tertulia.providers.port import Decoder, Encoded, Failure, Listed, Profile, UpstreamFault
from tertulia.turn.request import Request


class OpenAI:
    """The wire of `POST /chat/completions`.

    `line_cap` bounds one event of a stream, in bytes; `prefix` goes before the paths (`/inference`).
    """

    def __init__(self, *, line_cap: int = LINE_CAP, prefix: str = "") -> None:
        self._line_cap: Final = line_cap
        self._path: Final = f"{prefix}/chat/completions"
        self.models_path = f"{prefix}/models"

    def credential(self, key: Secret) -> Mapping[str, str]:
        """Give the headers that carry a key."""
        return {"authorization": f"Bearer {key.reveal()}"}

    def encode(self, request: Request, model: str, profile: Profile) -> Encoded:
        """Write the request."""
        return encode(request, model, profile, WIRE, self._path)

    def decoder(self, request: Request, *, streamed: bool) -> Decoder:
        """Make the reader of one answer."""
        answer = ChatAnswer(streamed=streamed)
        if not streamed:
            return WholeDecoder(answer)
        draws = "image" in list_of(request.parameters.get("modalities"))
        return StreamDecoder(SseParser(IMAGE_LINE_CAP if draws else self._line_cap), answer)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify an answer that is not 2xx."""
        return failure_of(status, headers, without_nul(body))

    def models(self, body: bytes) -> tuple[Listed, ...]:
        """Read `{"data": [{"id", …}]}`, or the bare list that some hosts give."""
        value: Any = read_json(without_nul(body))
        entries: Any = dict_of(value).get("data", dict_of(value).get("models")) if isinstance(value, dict) else value
        if not isinstance(entries, list):
            raise UpstreamFault(unreadable("its model list has no `data`."))
        return tuple(_listed(fields) for fields in dicts_of(entries) if text_of(fields.get("id")))


def _listed(fields: Json) -> Listed:
    top = dict_of(fields.get("top_provider"))
    return Listed(
        id=str(fields["id"]),
        name=text_of(fields.get("name")) or text_of(fields.get("display_name")),
        context_window=count_of(fields, "context_length", "context_window", "max_model_len", "max_context_length"),
        max_output=count_of({**fields, **top}, "max_completion_tokens", "max_output_tokens"),
    )
