import pytest

from ticketlab.errors import InvalidInputError
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


@pytest.mark.parametrize(
    "url", ["mysql://root@localhost/x", "localhost:5432", "postgresql://u@h:port/x", "postgresql:///x"]
)
def test_a_url_of_another_kind_is_refused(url):
    """What is no PostgreSQL URL with a host is told how one reads."""
    with pytest.raises(InvalidInputError, match="postgresql://user:password@host:port/name"):
        Settings.from_url(url)
