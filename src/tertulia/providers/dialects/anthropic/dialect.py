"""The dialect: `POST /v1/messages`."""

from collections.abc import Mapping
from typing import Final

from tertulia.kernel.secret import Secret
from tertulia.net.sse import LINE_CAP, SseParser
from tertulia.providers.dialects.anthropic.answer import MessageStream, WholeMessage
from tertulia.providers.dialects.anthropic.request import VERSION, encode
from tertulia.providers.dialects.decoder import StreamDecoder, WholeDecoder
from tertulia.providers.dialects.reading import count_of, dict_of, dicts_of, read_json, text_of, without_nul
from tertulia.providers.failures import failure_of, unreadable
from tertulia.providers.port import Decoder, Encoded, Failure, Listed, Profile, UpstreamFault
from tertulia.turn.request import Request


class Anthropic:
    """The wire of Anthropic Messages. `line_cap` bounds one event of a stream, in bytes."""

    models_path = "/v1/models?limit=1000"

    def __init__(self, *, line_cap: int = LINE_CAP) -> None:
        self._line_cap: Final = line_cap

    def credential(self, key: Secret) -> Mapping[str, str]:
        """Give the headers that carry a key."""
        return {"x-api-key": key.reveal(), "anthropic-version": VERSION}

    def encode(self, request: Request, model: str, profile: Profile) -> Encoded:
        """Write the request.

        Raises `Invalid` for content that this wire cannot carry.
        """
        return encode(request, model, profile)

    def decoder(self, request: Request, *, streamed: bool) -> Decoder:
        """Make the reader of one answer."""
        del request
        return StreamDecoder(SseParser(self._line_cap), MessageStream()) if streamed else WholeDecoder(WholeMessage())

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify an answer that is not 2xx."""
        return failure_of(status, headers, without_nul(body))

    def models(self, body: bytes) -> tuple[Listed, ...]:
        """Read `{"data": [{"id", "display_name", …}]}`."""
        entries = dict_of(read_json(without_nul(body))).get("data")
        if not isinstance(entries, list):
            raise UpstreamFault(unreadable("its model list has no `data`."))
        return tuple(
            Listed(
                id=str(fields["id"]),
                name=text_of(fields.get("display_name")),
                context_window=count_of(fields, "max_input_tokens"),
                max_output=count_of(fields, "max_tokens"),
            )
            for fields in dicts_of(entries)
            if text_of(fields.get("id"))
        )
