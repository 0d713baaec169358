"""What the commands do and say (Operation, Commands)."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def test_users(command: Command) -> None:
    made = command("user", "add", "alice", "--role", "supervisor", "--email", "alice@example.org").good()
    assert UUID.fullmatch(made.strip())
    assert command("user", "add", "bob").code == 0
    assert "taken" in command("user", "add", "alice").refused()
    listed = json.loads(command("user", "list", "--json").good())
    assert [(user["name"], user["role"], user["email"], user["disabled"]) for user in listed] == [
        ("alice", "supervisor", "alice@example.org", False),
        ("bob", "user", None, False),
    ]
    assert listed[0]["id"] == made.strip()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", listed[0]["createdAt"])
    table = command("user", "list").good().splitlines()
    assert [line.split()[1:] for line in table] == [["supervisor", "alice"], ["user", "bob"]]


@pytest.mark.parametrize("name", ["", "a/b", "a@b", "a:b", " a", "a ", "x" * 65, "two\nlines"])
def test_what_is_no_name_is_refused(command: Command, name: str) -> None:
    assert "1 to 64 characters" in command("user", "add", name).refused()


def test_keys(command: Command) -> None:
    command("user", "add", "alice").good()
    key = command("key", "create", "--user", "alice").good()
    assert re.fullmatch(r"tt-[\w-]{43}\n", key)  # the key alone, so that a script can take it
    assert "No user is called 'nobody'" in command("key", "create", "--user", "nobody").refused()
    assert "there are: admin, bot" in command("key", "create", "--user", "alice", "--scope", "all").refused()
    assert "may not have" in command("key", "create", "--user", "alice", "--scope", "admin").refused()
    assert command("key", "create", "--user", "admin", "--scope", "admin").code == 0


@pytest.mark.promise(36)
def test_a_key_is_nowhere_in_the_home(command: Command, home: Path) -> None:
    key = command("key", "create", "--user", "admin").good().strip().encode()
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if key in path.read_bytes() or key[3:] in path.read_bytes()] == []


def test_the_home_is_made_for_its_owner_alone(command: Command, home: Path) -> None:
    command("user", "list").good()
    assert home.stat().st_mode & 0o077 == 0
    assert {path.name for path in home.iterdir()} >= {"tertulia.db"}


def test_verbose_names_the_home_and_the_file(command: Command, home: Path) -> None:
    home.mkdir()
    (home / "tertulia.toml").write_text('default_model = "m"\n')
    for arguments in (("user", "list"), ("config", "check"), ("key", "create", "--user", "admin"), ("migrate",)):
        ran = command(*arguments, "-v")
        assert ran.code == 0, ran.error
        assert f"home: {home}\nconfiguration: {home / 'tertulia.toml'}\n" in ran.error
        assert str(home) not in command(*arguments).error


def test_config_show_masks_what_is_secret(command: Command, home: Path) -> None:
    home.mkdir()
    (home / "tertulia.toml").write_text(
        """
        database_url = "postgresql://me:canary-1@db.example.org/chat?sslpassword=canary-2"
        admin_api_key = "canary-3"
        [metrics]
        token = "env:THE_TOKEN"
        [[providers]]
        name = "acme"
        kind = "openai"
        base_url = "https://me:canary-4@acme.example.org/v1?api_key=canary-5"
        api_keys = ["canary-6", "file:SECRET"]
        headers = { Authorization = "canary-7", X-Tenant = "canary-8" }
    """.replace("SECRET", str(home / "secret"))
    )
    (home / "secret").write_text("canary-9\n")
    for form in ((), ("--json",)):
        shown = command("config", "show", *form, THE_TOKEN="canary-0").good()
        assert "canary" not in shown
        assert "***" in shown
        assert "acme.example.org/v1" in shown
        assert "db.example.org/chat" in shown
    tree = json.loads(command("config", "show", "--json", THE_TOKEN="x").good())
    assert tree["server"]["port"] == 8000
    assert tree["providers"][0]["api_keys"] == ["***", "***"]


def test_config_check(command: Command, home: Path) -> None:
    assert "defaults" in command("config", "check").good()
    home.mkdir()
    (home / "tertulia.toml").write_text("[limits]\nip_requests_per_minute = 5\n[chat]\nevents_kept_h = 2\n")
    checked = command("config", "check")
    assert checked.code == 0
    assert "limits.ip_requests_per_minute has no effect in this version" in checked.error
    assert "chat.events_kept_h has no effect in this version" in checked.error
    (home / "tertulia.toml").write_text("[[providers]]\nname = 'acme'\n")
    assert "providers.acme: say its `kind`" in command("config", "check").refused()


def test_doctor(command: Command, home: Path) -> None:
    good = command("doctor").good().splitlines()
    assert [line.split()[0] for line in good] == ["ok"] * 4
    (home / "tertulia.db").write_bytes(b"this is no database at all" * 400)
    bad = command("doctor")
    assert bad.code == 1
    assert "BAD  database" in bad.out
    assert "Traceback" not in bad.out + bad.error
    (home / "tertulia.toml").write_text("nonesuch = 1\n")
    bad = command("doctor")
    assert (bad.code, "BAD  settings: The setting 'nonesuch' is unknown" in bad.out) == (1, True)


def test_migrate(command: Command) -> None:
    assert re.fullmatch(r"The database is at \d{4}\.\n", command("migrate").good())
    assert re.fullmatch(r"The database is at \d{4}\. Nothing was to do\.\n", command("migrate").good())


def test_models(command: Command, home: Path) -> None:
    rows = json.loads(command("models", "list", "--json").good())
    assert all(row.keys() == {"name", "path", "size"} for row in rows)
    lines = command("models", "list").good().splitlines()
    if rows:
        assert [line.split()[0] for line in lines] == [f"local/{row['name']}" for row in rows]
    assert "There is no model 'nonesuch' to install" in command("models", "install", "nonesuch").refused()


def test_openapi_needs_no_database(command: Command, home: Path) -> None:
    document = json.loads(command("openapi").good())
    assert document["openapi"].startswith("3.")
    assert "/v1/chat/completions" in document["paths"]
    assert not home.exists()


def test_usage_errors_are_code_2(command: Command) -> None:
    for arguments in (
        ("nonsense",),
        ("user", "add"),
        ("serve", "--port", "70000"),
        ("user", "add", "x", "--role", "k"),
    ):
        ran = command(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert "Traceback" not in ran.error
