"""Storage on both databases, with the tables of `bank`."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.postgres_cluster import Cluster, start_cluster
from tests.storage import bank

from tertulia.storage.writer import Storage, open_storage


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tertulia.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A database with the tables, on each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    bank.create(url)
    return url


class Batches:
    """What an observer was told."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.synced: list[bool] = []

    def __call__(self, size: int, seconds: float, synced: bool) -> None:  # noqa: FBT001 - as writers call it
        assert seconds > 0
        self.sizes.append(size)
        self.synced.append(synced)


@pytest.fixture
def batches() -> Batches:
    return Batches()


@pytest.fixture
async def storage(url: str, batches: Batches) -> AsyncIterator[Storage]:
    storage = open_storage(url, observer=batches)
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def mortal_cluster() -> Iterator[Cluster]:
    """A Postgres server of the test's own, to be killed."""
    cluster = start_cluster()
    yield cluster
    cluster.stop()
