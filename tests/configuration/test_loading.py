"""Settings from the file, the environment and references; whatever is wrong is one line that names it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.app.configuration import ConfigurationError, Loaded, home_of, load_settings
from tertulia.app.database import shown_url

ACME = '[[providers]]\nname = "acme"\nkind = "openai"\nbase_url = "http://acme.example.org/v1"\n'


def load(home: Path, text: str = "", **environment: str) -> Loaded:
    home.mkdir(exist_ok=True)
    (home / "tertulia.toml").write_text(text)
    return load_settings(home, environment=environment)


def refused(home: Path, text: str = "", **environment: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        load(home, text, **environment)
    assert "\n" not in error.value.message
    return error.value.message


def test_defaults_need_no_file(home: Path) -> None:
    loaded = load_settings(home, environment={})
    assert loaded.file is None
    assert loaded.settings.server.host == "127.0.0.1"
    assert loaded.without_effect == ()
    assert not home.exists()


def test_the_environment_wins_over_the_file(home: Path) -> None:
    text = 'default_model = "file"\n[server]\nport = 1\nhost = "localhost"\n[chat]\nsave_by_default = true\n'
    settings = load(
        home, text, TERTULIA_DEFAULT_MODEL="told", TERTULIA_PORT="2", TERTULIA_CHAT__SAVE_BY_DEFAULT="false"
    ).settings
    assert (settings.default_model, settings.server.port, settings.server.host) == ("told", 2, "localhost")
    assert settings.chat.save_by_default is False


def test_types_are_read_out_of_the_environment(home: Path) -> None:
    settings = load(
        home,
        TERTULIA_STREAMING__HEARTBEAT_S="2.5",
        TERTULIA_LOCAL_MODEL__ENABLED="false",
        TERTULIA_SERVER__ALLOWED_HOSTS="chat.example.org, *.example.com",
        TERTULIA_SERVER__CORS_ORIGINS="",
        TERTULIA_ALIASES__FAST="acme/m,local/smollm2",
        TERTULIA_METRICS__TOKEN="t",
    ).settings
    assert settings.streaming.heartbeat_s == 2.5
    assert settings.local_model.enabled is False
    assert settings.server.allowed_hosts == ("chat.example.org", "*.example.com")
    assert settings.server.cors_origins == ()
    assert settings.aliases == {"fast": ("acme/m", "local/smollm2")}
    assert settings.metrics.token is not None
    assert settings.metrics.token.reveal() == "t"


@pytest.mark.parametrize(
    ("said", "meant"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("0", False)]
)
def test_the_test_mode_has_two_names(home: Path, *, said: str, meant: bool) -> None:
    assert load(home, TERTULIA_TEST_MODE=said).settings.test_mode is meant
    assert load(home, TEST_MODE=said).settings.test_mode is meant


def test_another_file_may_be_named(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text('default_model = "other"')
    load(home, 'default_model = "usual"')
    for found in (
        load_settings(home, file=file, environment={}),
        load_settings(home, environment={"TERTULIA_CONFIG": str(file)}),
    ):
        assert (found.settings.default_model, found.file) == ("other", file)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("nonesuch = 1", "nonesuch", "unknown"),
        ("[server]\nportt = 1", "server.portt", "unknown"),
        (ACME + "apikey = 'x'", "providers[0].apikey", "unknown"),
        ("[prices.x]\npromt = '1'", "prices.x.promt", "unknown"),
        ("[server]\nport = 'x'", "server.port", "Expected `int`"),
        ("[server]\nport = 70000", "server.port", "65535"),
        ("server = 5", "server", "Expected `object`"),
        ("[logging]\nlevel = 'loud'", "logging.level", "Invalid enum value 'loud'"),
        ("[chat]\non_disconnect = 'stay'", "chat.on_disconnect", "Invalid enum value 'stay'"),
        ("[streaming]\nheartbeat_s = nan", "streaming.heartbeat_s", "> 0"),
        ("[streaming]\nheartbeat_s = 0", "streaming.heartbeat_s", "0"),
        ("[streaming]\ntotal_timeout_s = inf", "streaming.total_timeout_s", "inf"),
        ("[queue]\nmax_waiting = -1", "queue.max_waiting", "-1"),
        ("[chat]\nephemeral_mb = -1", "chat.ephemeral_mb", "-1"),
        (ACME + "timeout_s = -3", "providers[0].timeout_s", "-3"),
        (ACME + ACME, "providers[1].name", "two providers are called 'acme'"),
        ("[[providers]]\nname = 'a'\nkind = 'telepathy'", "providers[0].kind", "Invalid enum value 'telepathy'"),
        ("[aliases]\ngood = ['a/b']\nfast = 'a/b'", "aliases.fast", "Expected `array`"),
        ("[aliases]\nfast = []", "aliases.fast", "at least one"),
        ("[aliases]\nfast = ['a', '']", "aliases.fast", "without a name"),
        ("[prices.'a/b']\nprompt = 'much'", "prices.a/b", "'much' is not a decimal number"),
        ("[prices.'a/b']\nprompt = '-1'", "prices.a/b", "'-1'"),
        ("[prices.'a/b']\nprompt = 'NaN'", "prices.a/b", "'NaN'"),
        ("[prices.'a/b']\nprompt = '0.0000000001'", "prices.a/b", "at most nine"),
    ],
)
def test_a_bad_setting_in_the_file_is_named(home: Path, text: str, place: str, what: str) -> None:
    said = refused(home, text)
    assert said.startswith(f"The setting {place!r} is ")
    assert what in said
    assert str(home / "tertulia.toml") in said


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TERTULIA_SERVER__PORT", "x"),
        ("TERTULIA_PORT", ""),
        ("TERTULIA_SERVER__PORTT", "1"),
        ("TERTULIA_NONESUCH", "1"),
        ("TERTULIA_NONESUCH__KEY", "1"),
        ("TERTULIA_SERVER", "1"),
        ("TERTULIA_PROVIDERS", "1"),
        ("TERTULIA_PROVIDERS__NAME", "1"),
        ("TERTULIA_HOME__X", "1"),
        ("TERTULIA_TEST_MODE", "maybe"),
        ("TEST_MODE", "maybe"),
        ("TERTULIA_STREAMING__HEARTBEAT_S", "nan"),
        ("TERTULIA_ADMIN_API_KEY__X", "1"),
    ],
)
def test_a_bad_variable_is_named(home: Path, variable: str, value: str) -> None:
    assert variable in refused(home, '[server]\nhost = "localhost"\n', **{variable: value})


@pytest.mark.parametrize("text", ["[server", "a = ", "\xff".encode("latin-1"), "a = 1\na = 2", "x = " + "[" * 5000])
def test_what_is_no_toml_is_refused(home: Path, text: str | bytes) -> None:
    home.mkdir()
    file = home / "tertulia.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match="is not TOML") as error:
        load_settings(home, environment={})
    assert str(file) in error.value.message
    assert "\n" not in error.value.message


@given(st.binary(max_size=60) | st.text(alphabet="[]=\"'#.\n abctrue10{},", max_size=60).map(str.encode))
def test_no_file_is_anything_but_settings_or_a_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(data)
    try:
        load_settings(file.parent, file=file, environment={})
    except ConfigurationError as error:
        assert len(error.message.splitlines()) == 1  # noqa: PT017 - it may also be read


def test_a_file_that_is_not_there(home: Path, tmp_path: Path) -> None:
    for file, why in ((tmp_path / "none.toml", "does not exist"), (tmp_path, "is no file")):
        with pytest.raises(ConfigurationError, match=why):
            load_settings(home, file=file, environment={})


def test_references_are_followed_wherever_a_text_stands(home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("  from a file\n")
    text = f"{ACME}api_keys = ['env:ONE', 'file:{secret}']\nheaders = {{ X-A = 'env:ONE' }}\n"
    loaded = load(home, text, ONE="first", TERTULIA_ADMIN_API_KEY="env:ONE")
    provider = loaded.settings.providers[0]
    assert [key.reveal() for key in provider.api_keys] == ["first", "from a file"]
    assert {name: value.reveal() for name, value in provider.headers.items()} == {"X-A": "first"}
    assert loaded.settings.admin_api_key is not None
    assert loaded.settings.admin_api_key.reveal() == "first"


def test_a_reference_to_nothing_is_named(home: Path, tmp_path: Path) -> None:
    assert "'providers[0].api_keys[1]': the environment variable TWO is not set" in refused(
        home, ACME + "api_keys = ['env:ONE', 'env:TWO']", ONE="x"
    )
    assert f"'admin_api_key': the file {tmp_path / 'no'} cannot be read: No such file" in refused(
        home, f"admin_api_key = 'file:{tmp_path / 'no'}'"
    )
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert "it is not text" in refused(home, f"admin_api_key = 'file:{tmp_path / 'bytes'}'")


@pytest.mark.promise(36)
def test_secrets_do_not_print_themselves(home: Path) -> None:
    text = f"{ACME}api_keys = ['canary']\n[metrics]\ntoken = 'canary'\n"
    loaded = load(
        home, text, TERTULIA_ADMIN_API_KEY="canary", TERTULIA_DATABASE_URL="postgresql://me:canary@db.example.org/chat"
    )
    assert "canary" not in repr(loaded)
    assert shown_url(loaded) == "postgresql://me:***@db.example.org/chat"


def test_what_a_later_version_acts_on_is_named_and_does_not_stop(home: Path) -> None:
    text = """
        [limits]
        enabled = true
        user_tokens_per_minute = 5
        [plans.free]
        requests_per_minute = 3
        [[moderation.rules]]
        name = "x"
        [chat]
        history_messages = 10
        save_by_default = true
        [queue]
        max_running = 4
    """
    loaded = load(home, text, TERTULIA_REDIS_URL="redis://x", TERTULIA_CREDITS__ENFORCE="true")
    assert set(loaded.without_effect) == {
        *("limits.enabled", "limits.user_tokens_per_minute", "plans.free", "moderation.rules"),
        *("chat.history_messages", "queue.max_running", "credits.enforce", "TERTULIA_REDIS_URL"),
    }
    assert loaded.settings.chat.save_by_default is True


@pytest.mark.parametrize("no", ["false", "0", "False"])
def test_to_switch_off_what_is_not_there_is_no_news(home: Path, no: str) -> None:
    loaded = load(
        home,
        TERTULIA_LIMITS__ENABLED=no,
        TERTULIA_CREDITS__ENFORCE=no,
        TERTULIA_MODERATION__ENABLED=no,
    )
    assert loaded.without_effect == ()


def test_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_of(None, {"HOME": str(tmp_path)}) == tmp_path / ".local" / "share" / "tertulia"
    assert home_of(None, {"XDG_DATA_HOME": str(tmp_path / "data")}) == tmp_path / "data" / "tertulia"
    (tmp_path / ".tertulia").mkdir()
    assert home_of(None, {}) == Path(".tertulia")
    assert home_of(None, {"TERTULIA_HOME": "~/told"}) == tmp_path / "told"
    assert home_of(Path("~/given"), {"TERTULIA_HOME": "/told"}) == tmp_path / "given"
