"""Which models there are: no host's trouble is another's, and nobody waits long for a list."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from time import monotonic

import pytest

from tertulia.kernel.errors import Invalid
from tertulia.models.names import ModelNotFound
from tertulia.providers.port import Call, Listed, Provider, Sink, Target, UpstreamFault, fault
from tertulia.providers.routing import Naming, Routing
from tertulia.providers.settings import ProviderSettings, plan_provider
from tertulia.turn.request import Request


class Host:
    """A host whose list is what `answers` has next: models, an error, or silence."""

    def __init__(self, name: str, *answers: tuple[str, ...] | Exception | None) -> None:
        self.name = name
        self.asked = 0
        self._answers = list(answers)

    def call(self, request: Request, target: Target, sink: Sink) -> Call:
        raise AssertionError("nobody calls it here")

    def dropped(self, request: Request, model: str) -> tuple[str, ...]:
        return ()

    async def models(self) -> tuple[Listed, ...]:
        self.asked += 1
        answer = self._answers.pop(0)
        if answer is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(answer, Exception):
            raise answer
        return tuple(Listed(model) for model in answer or ())


Make = Callable[..., Routing]


@pytest.fixture
async def make() -> AsyncGenerator[Make]:
    """Make a routing over hosts; it is closed in the end."""
    made: list[Routing] = []

    def making(*hosts: Host, **naming: object) -> Routing:
        providers: dict[str, Provider] = {host.name: host for host in hosts}
        entries = [ProviderSettings(host.name, "openai", "http://10.0.0.5/v1") for host in hosts]
        plans = {entry.name: plan_provider(entry, {}) for entry in entries}
        said = {"aliases": {}, "default_model": "", "default_provider": "", "enforce_default": False, **naming}
        made.append(Routing(plans=plans, providers=providers, naming=Naming(**said)))  # pyright: ignore[reportArgumentType]
        return made[-1]

    yield making
    for routing in made:
        await routing.close()


@pytest.mark.parametrize(
    "trouble", [UpstreamFault(fault("provider_unavailable", "It is down.")), TimeoutError(), KeyError("a defect")]
)
async def test_a_host_that_is_down_costs_no_other_its_list(make, trouble):
    routing = make(Host("down", trouble), Host("up", ("big",)))
    listed = await routing.listed()
    assert {name: [model.id for model in models] for name, models in listed.items()} == {"down": [], "up": ["big"]}
    assert routing.targets("big")[0].full == "up/big"


async def test_a_silent_host_is_waited_for_once_and_briefly(make):
    routing = make(Host("silent", None), Host("up", ("big",)))
    begun = monotonic()
    assert [model.id for model in (await routing.listed())["up"]] == ["big"]
    assert monotonic() - begun < 4.0
    begun = monotonic()
    await routing.listed()
    assert monotonic() - begun < 0.5


async def test_what_one_host_lists_is_known_while_another_is_silent(make):
    routing = make(Host("silent", None), Host("up", ("big",)))
    routing.ask_in_background()
    for _ in range(20):
        await asyncio.sleep(0)
    assert routing.targets("big")[0].full == "up/big"


async def test_hosts_are_asked_once_at_a_time_and_not_while_fresh(make):
    silent, up = Host("silent", None), Host("up", ("big",))
    routing = make(silent, up)
    routing.ask_in_background()
    await routing.listed()
    await routing.listed()
    assert (silent.asked, up.asked) == (1, 1)


async def test_a_list_that_is_old_is_given_while_it_is_asked_for_again(make, monkeypatch):
    monkeypatch.setattr("tertulia.providers.routing._FRESH_S", -1.0)
    host = Host("up", ("old",), ("new",), None)
    routing = make(host)
    await routing.listed()
    assert [model.id for model in (await routing.listed())["up"]] == ["old"]
    for _ in range(20):
        await asyncio.sleep(0)
    assert routing.targets("new")[0].full == "up/new"


async def test_a_name_that_nobody_has_makes_old_lists_be_asked_again(make):
    routing = make(Host("up", ("big",)))
    with pytest.raises(ModelNotFound):
        routing.targets("big")
    for _ in range(20):
        await asyncio.sleep(0)
    assert routing.targets("big")[0].full == "up/big"


async def test_the_check_at_start_knows_which_lists_are_still_to_come(make):
    make(Host("up", ("big",)), aliases={"a": ("anything",)}, default_model="up/big").check()
    with pytest.raises(Invalid, match="leads back"):
        make(Host("up"), aliases={"a": ("b",), "b": ("a",)}).check()
    with pytest.raises(Invalid, match="default_provider"):
        make(Host("up"), default_provider="gone").check()
