"""Storage on both databases, with the tables of `bank`."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tertulia.storage.opening import open_storage
from tertulia.storage.writer import Storage
from tests.postgres_cluster import Cluster, start_cluster
from tests.storage import bank


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tertulia.db'}"


@pytest.fixture(scope="session")
def bank_url(postgres_cluster: Cluster) -> Iterator[str]:
    """A Postgres database with the tables, made once: making one takes longer than most tests do."""
    url = postgres_cluster.create_database()
    bank.create(url)
    yield url
    postgres_cluster.drop_database(url)


@pytest.fixture
def postgres_bank(postgres_cluster: Cluster, bank_url: str) -> str:
    """A Postgres database with the tables, empty."""
    tables = ", ".join(bank.schema.tables)
    postgres_cluster.execute(f"TRUNCATE {tables} RESTART IDENTITY", bank_url)
    return bank_url


@pytest.fixture
def sqlite_bank(sqlite_url: str) -> str:
    """A SQLite database with the tables, empty."""
    bank.create(sqlite_url)
    return sqlite_url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A database with the tables, of each kind in turn."""
    return request.getfixturevalue(f"{request.param}_bank")


class Batches:
    """What an observer was told."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.synced: list[bool] = []

    def __call__(self, size: int, seconds: float, synced: bool) -> None:
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
