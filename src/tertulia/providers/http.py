"""A provider that is reached over HTTP: a dialect, a transport, and what the configuration says of the host."""

from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Final

from tertulia.kernel.errors import TertuliaError
from tertulia.kernel.secret import Secret
from tertulia.net.transport import Limits, Transport, TransportError
from tertulia.providers.failures import failure_of_transport
from tertulia.providers.http_call import ERROR_BYTES, HttpCall
from tertulia.providers.port import Dialect, Listed, Profile, Sink, Target, UpstreamFault, fault
from tertulia.providers.redaction import Scrub
from tertulia.turn.request import Request

_VERSIONS: Final = frozenset({"v1", "v1beta", "api"})
_LIST_BYTES: Final = 8 * 1024 * 1024
_LIST_LIMITS: Final = Limits(connect_s=10.0, idle_s=15.0, max_bytes=_LIST_BYTES)


class HttpProvider:
    """One configured host.

    `keys` are used in turn; none: the host asks for none. `timeout_s` runs to the first byte, then between bytes.
    `profile` says what the host takes, or what each of its models takes.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        dialect: Dialect,
        transport: Transport,
        profile: Profile | Callable[[str], Profile] | None = None,
        keys: tuple[Secret, ...] = (),
        timeout_s: float = 300.0,
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        self.name: Final = name
        self._base_url = base_url.rstrip("/")
        self._dialect = dialect
        self._transport = transport
        self._profile = profile if profile is not None else Profile()
        self._keys = cycle(keys) if keys else None
        self._limits = Limits(idle_s=timeout_s)
        self._extra_headers = dict(extra_headers or {})

    def call(self, request: Request, target: Target, sink: Sink) -> HttpCall:
        """Begin a call (see `Provider`)."""
        key = target.key or self._next_key()
        call = HttpCall(self._dialect, request, sink, Scrub(key, self._base_url))
        try:
            encoded = self._dialect.encode(request, target.model, self._profile_of(target.model))
        except TertuliaError as error:
            call.refuse(fault(error.code, error.message))
            return call
        url = _joined(self._base_url, encoded.path)
        headers = {**encoded.headers, **self._headers(key)}
        call.begin(
            self._transport.post(url, headers, encoded.body, call, self._limits),
            encoded.dropped,
        )
        return call

    def dropped(self, request: Request, model: str) -> tuple[str, ...]:
        """Name the parameters of the request that this host does not take, without calling it."""
        return self._dialect.encode(request, model, self._profile_of(model)).dropped

    async def models(self) -> tuple[Listed, ...]:
        """Ask the host for its models.

        Raises `UpstreamFault`.
        """
        key = self._next_key()
        scrub = Scrub(key, self._base_url)
        url = _joined(self._base_url, self._dialect.models_path)
        try:
            answer = await self._transport.get(url, self._headers(key), _LIST_LIMITS)
            if 200 <= answer.status < 300:
                return self._dialect.models(answer.body)
            failure = self._dialect.failure(answer.status, answer.headers, answer.body[:ERROR_BYTES])
        except TransportError as error:
            failure = failure_of_transport(error, answering=False)
        except UpstreamFault as error:
            failure = error.failure
        raise UpstreamFault(scrub.failure(failure))

    def _profile_of(self, model: str) -> Profile:
        return self._profile if isinstance(self._profile, Profile) else self._profile(model)

    def _next_key(self) -> Secret | None:
        return next(self._keys) if self._keys is not None else None

    def _headers(self, key: Secret | None) -> dict[str, str]:
        return {**(self._dialect.credential(key) if key else {}), **self._extra_headers}


def _joined(base_url: str, path: str) -> str:
    """Join an address and a path; a version that both name (`/v1`) stands once."""
    first = path.split("/", 2)[1]
    return (base_url.removesuffix(f"/{first}") if first in _VERSIONS else base_url) + path
