import pytest

from ticketlab.errors import InvalidInputError, check_values
from ticketlab.settings import Settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("HOST", "PORT", "USERNAME", "PASSWORD", "NAME", "POOL_SIZE"):
        monkeypatch.delenv(f"DB_{name}", raising=False)


def test_the_documented_defaults_hold():
    """Without any variable the settings are those of the document."""
    settings = Settings.load(env_file=None)
    assert settings.url == "postgresql://postgres:postgres@localhost:5432/app_db"
    assert (settings.pool_size, settings.pool_acquire_timeout_s, settings.pool_idle_timeout_s) == (20, 60, 30)


def test_the_environment_overrides_dot_env(tmp_path, monkeypatch):
    """A variable beats the file, the file beats the default."""
    (tmp_path / ".env").write_text("DB_HOST=from-file\nDB_NAME=from_file\n")
    monkeypatch.setenv("DB_HOST", "from-env")
    settings = Settings.load(env_file=tmp_path / ".env")
    assert (settings.host, settings.name, settings.port) == ("from-env", "from_file", 5432)


def test_a_password_is_never_printed():
    """Neither the settings nor their address show the password; the URL, which is for connecting, does."""
    settings = Settings.load(env_file=None, password="s3cret/word")
    assert "s3cret" not in f"{settings!r} {settings} {settings.address}"
    assert "s3cret%2Fword" in settings.url


def test_a_wrong_variable_is_named_without_its_value(monkeypatch):
    """What can not be used is named; a value may be a secret typed into the wrong place, and is not repeated."""
    monkeypatch.setenv("DB_PORT", "hunter2")
    with pytest.raises(InvalidInputError, match="DB_PORT") as caught:
        Settings.load(env_file=None)
    assert "hunter2" not in str(caught.value)


def test_a_url_survives_the_round_trip():
    """Whatever a password holds, reading its URL gives it back."""
    settings = Settings.load(env_file=None, password="a:b@c/d?e#f g%h", host="127.0.0.1", name="x y")
    assert Settings.from_url(settings.url) == settings


def test_the_environment_does_not_colour_a_url(monkeypatch):
    """What a URL leaves open has its default, not what DB_* says of another database."""
    monkeypatch.setenv("DB_POOL_SIZE", "7")
    monkeypatch.setenv("DB_PASSWORD", "of-another")
    settings = Settings.from_url("postgresql://me@127.0.0.1/x")
    assert (settings.pool_size, settings.port, settings.password.get_secret_value()) == (20, 5432, "")


def test_options_of_a_url_are_kept():
    """Verified TLS is not weakened by a detour through the settings."""
    url = "postgresql://me:pw@db.example:5433/x?sslmode=verify-full&sslrootcert=ca.pem"
    assert Settings.from_url(url).url == url


def test_an_ipv6_host_goes_in_brackets():
    """A colon of the address is not taken for that of the port."""
    assert Settings.from_url("postgresql://me:pw@[::1]:5433/x").url == "postgresql://me:pw@[::1]:5433/x"
    assert "@[::1]:5432/" in Settings.load(env_file=None, host="::1").url


def test_a_dot_env_that_can_not_be_read_is_told(tmp_path):
    """The file is named, and no traceback follows."""
    path = tmp_path / ".env"
    path.write_bytes(b"DB_HOST=\xff\xfe")
    with pytest.raises(InvalidInputError, match=r"\.env cannot be read"):
        Settings.load(env_file=path)


@pytest.mark.parametrize(
    "url", ["mysql://root@localhost/x", "localhost:5432", "postgresql://u@h:port/x", "postgresql:///x"]
)
def test_a_url_of_another_kind_is_refused(url):
    """What is no PostgreSQL URL with a host is told how one reads."""
    with pytest.raises(InvalidInputError, match="postgresql://user:password@host:port/name"):
        Settings.from_url(url)


def test_every_error_of_a_record_is_named():
    with pytest.raises(InvalidInputError, match=r"^A plan needs a buyer; an event\.$"):
        check_values("A plan needs", {"a buyer": True, "a stock": False, "an event": True})
    check_values("A plan needs", {"a buyer": False})
