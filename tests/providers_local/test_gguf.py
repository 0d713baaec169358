"""Where the model's file is found, and what is read of it."""

import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.providers.local import gguf
from tertulia.providers.local.gguf import Gguf, Missing, Unreadable, available, find, read, scalars

Head = Callable[..., bytes]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment with an engine, and without a package that holds a model."""
    monkeypatch.setattr(gguf, "ENGINE", "json")
    monkeypatch.setattr(gguf, "PACKAGE", "no-such-package-of-a-model")
    monkeypatch.setattr(gguf, "MODULE", "no_such_package_of_a_model")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.fixture
def package(tmp_path: Path, head: Head, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package whose import would fail: only its metadata may be used."""
    site = tmp_path / "site"
    (site / "tiny_model").mkdir(parents=True)
    (site / "tiny_model" / "__init__.py").write_text("raise RuntimeError('it was imported')")
    model = site / "tiny_model" / "Tiny.gguf"
    model.write_bytes(head())
    info = site / "tiny_model-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
    (info / "RECORD").write_text("tiny_model/Tiny.gguf,,\ntiny_model/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(gguf, "PACKAGE", "tiny-model")
    monkeypatch.setattr(gguf, "MODULE", "tiny_model")
    return model


def test_the_package_is_found_by_its_metadata_and_not_imported(package: Path, home: Path) -> None:
    found = find(home)
    assert isinstance(found, Gguf)
    assert (found.path, found.source) == (package, "package")
    assert "tiny_model" not in sys.modules


def test_the_package_is_found_without_a_list_of_its_files(package: Path, home: Path) -> None:
    (package.parent.parent / "tiny_model-1.0.dist-info" / "RECORD").unlink()
    found = find(home)
    assert isinstance(found, Gguf)
    assert found.path == package
    assert "tiny_model" not in sys.modules


def test_package_then_configured_then_home(package: Path, home: Path, head: Head, tmp_path: Path) -> None:
    configured = tmp_path / "Own Model.gguf"
    configured.write_bytes(head())
    (home / "models" / "b.gguf").write_bytes(head())
    (home / "models" / "a.gguf").write_bytes(head())
    (home / "models" / "broken.gguf").write_bytes(b"no")
    listed = available(home, configured)
    assert [(each.name, each.source) for each in listed] == [
        ("tiny", "package"),
        ("own-model", "configured"),
        ("a", "home"),
        ("b", "home"),
    ]
    assert find(home, configured) == listed[0]
    package.unlink()
    assert find(home, configured) == listed[1]
    assert find(home) == listed[2]


def test_a_file_is_listed_once(home: Path, head: Head) -> None:
    path = home / "models" / "a.gguf"
    path.write_bytes(head())
    assert len(available(home, path)) == 1


def test_a_configured_file_that_is_not_there_is_said_not_passed_over(home: Path, head: Head) -> None:
    (home / "models" / "a.gguf").write_bytes(head())
    found = find(home, home / "nowhere.gguf")
    assert isinstance(found, Missing)
    assert found.reason == "readable"
    assert "nowhere.gguf" in found.message


def test_nothing_there_says_how_to_get_one(home: Path) -> None:
    found = find(home)
    assert isinstance(found, Missing)
    assert found.reason == "model"
    assert "tertulia models install smollm2" in found.message


def test_without_the_engine_there_is_no_model(home: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "ENGINE", "no_such_engine")
    found = find(home)
    assert isinstance(found, Missing)
    assert found.reason == "engine"
    assert [each.name for each in available(home)] == ["tiny"]


def test_what_is_read_of_a_file(home: Path, head: Head) -> None:
    path = home / "models" / "Some Model_Q4.gguf"
    path.write_bytes(head())
    assert read(path, "home") == Gguf(
        name="some-model_q4", path=path, size=path.stat().st_size, source="home", context=64, demo=False
    )


def test_the_small_model_is_known_by_its_head_whatever_its_file_is_called(home: Path, head: Head) -> None:
    path = home / "models" / "renamed.gguf"
    path.write_bytes(head({"general.basename": "smollm2", "general.size_label": "135M"}))
    found = read(path, "home")
    assert (found.name, found.demo) == ("smollm2", True)


@pytest.mark.parametrize("data", [b"", b"GGUF", b"GGML" + bytes(60), b"GGUF" + struct.pack("<IQQ", 3, 0, 5)])
def test_no_gguf_is_unreadable(home: Path, data: bytes) -> None:
    path = home / "x.gguf"
    path.write_bytes(data)
    with pytest.raises(Unreadable):
        read(path, "home")


def test_another_version_is_refused_by_its_number(home: Path, head: Head) -> None:
    path = home / "x.gguf"
    path.write_bytes(head(version=1))
    with pytest.raises(Unreadable, match="version is 1"):
        read(path, "home")


@given(st.binary(max_size=400), st.integers(0, 2**64 - 1))
def test_no_bytes_raise_anything_else(data: bytes, count: int) -> None:
    try:
        scalars(io.BytesIO(b"GGUF" + struct.pack("<IQQ", 3, 0, count) + data))
    except (Unreadable, struct.error, UnicodeDecodeError, KeyError):
        return


@given(
    st.dictionaries(
        st.text(max_size=12).filter(lambda key: not key.startswith("tokenizer.")),
        st.text(max_size=20) | st.integers(0, 2**32 - 1) | st.lists(st.text(max_size=4), max_size=3),
        max_size=6,
    )
)
def test_strings_and_numbers_are_read_and_lists_stepped_over(head: Head, pairs: dict[str, object]) -> None:
    expected = {key: value for key, value in pairs.items() if not isinstance(value, list)}
    assert scalars(io.BytesIO(head(pairs))) == expected
