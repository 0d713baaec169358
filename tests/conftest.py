"""What all tests share: real servers on free ports, in temporary homes, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres_cluster import Cluster, postgres_cluster, postgres_url
from tests.running import FakeUpstream, RunningServer

__all__ = ["postgres_cluster", "postgres_url"]


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    """The scripted provider over real HTTP, in a process of its own."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> str:
    """Which database the server keeps its things in."""
    return request.param


@pytest.fixture(scope="session")
def server(
    database: str, request: pytest.FixtureRequest, upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server that all tests of this session share; what they store does not meet."""
    url = ""
    if database == "postgres":
        cluster: Cluster = request.getfixturevalue("postgres_cluster")
        url = cluster.create_database()
    with RunningServer(tmp_path_factory.mktemp("home"), upstream=upstream.url, database_url=url) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home for a server of one test's own."""
    return tmp_path / "home"
