"""Where the database is and how its connections are pooled, from `DB_*` variables and `.env`.

Knows no SQL and opens no connection.
"""

from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketlab.errors import InvalidInputError


class Settings(BaseSettings):
    """Connection and pool settings; every field can be set as `DB_<FIELD>` or in `.env`.

    The password is kept as a secret: it is part of `url`, and of nothing that is printed.
    """

    model_config = SettingsConfigDict(env_prefix="DB_", env_file=".env", extra="ignore", frozen=True)
    """Read from `DB_*` and `.env`, and never changed after."""

    host: str = "localhost"
    """Its name or address."""
    port: int = Field(default=5432, ge=1, le=65535)
    """Where it listens."""
    username: str = "postgres"
    """The role that connects: it makes tables, and for a lab databases."""
    password: SecretStr = SecretStr("postgres")
    """Shown nowhere: neither in a text of these settings nor in an error."""
    name: str = "app_db"
    """The database."""
    options: str = ""
    """Options of libpq as in a URL, such as `sslmode=verify-full&sslrootcert=ca.pem`."""
    pool_size: PositiveInt = 20
    """Connections at most."""
    pool_acquire_timeout_s: PositiveFloat = 60.0
    """How long a buyer waits for a connection before it is told that there is none."""
    pool_idle_timeout_s: PositiveFloat = 30.0
    """How long a connection may stay unused before it is closed."""

    @classmethod
    def load(cls, env_file: Path | None = Path(".env"), **changes: object) -> Self:
        """The settings of the environment, with `changes` on top.

        Raises:
            InvalidInputError: a variable holds a value that can not be used; the text names it, not its value.
        """
        try:
            # _env_file is a run-time argument of BaseSettings that its generated signature does not show.
            return cls(_env_file=env_file, **changes)  # type: ignore[call-arg,arg-type]
        except ValidationError as error:
            faults = "; ".join(f"DB_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
            raise InvalidInputError(f"The database settings can not be used. {faults}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"The file {env_file} can not be read: {error}.") from error

    @classmethod
    def from_url(cls, url: str, **changes: object) -> Self:
        """The settings that a `postgresql://user:password@host:port/name?options` URL stands for.

        Neither `DB_*` nor `.env` is read: what the URL and `changes` leave open has its default.
        """
        fault = "A database URL reads postgresql://user:password@host:port/name"
        try:
            parts = urlsplit(url)
            port = 5432 if parts.port is None else parts.port
        except ValueError:
            raise InvalidInputError(f"{fault}; the port of the given one is no number.") from None
        if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname:
            raise InvalidInputError(f"{fault}; the given one does not.")
        given = {
            "host": unquote(parts.hostname),
            "port": port,
            "username": unquote(parts.username or "postgres"),
            "password": unquote(parts.password or ""),
            "name": unquote(parts.path.lstrip("/")) or "postgres",
            "options": parts.query,
        }
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return cls.load(env_file=None, **(defaults | given | changes))

    @property
    def url(self) -> str:
        """The libpq URL, password included: for connecting, never for printing."""
        login = f"{quote(self.username, safe='')}:{quote(self.password.get_secret_value(), safe='')}"
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")  # IPv6 goes in brackets
        options = f"?{self.options}" if self.options else ""
        return f"postgresql://{login}@{host}:{self.port}/{quote(self.name, safe='')}{options}"

    @property
    def address(self) -> str:
        """The same place without the password, for messages."""
        return f"{self.username}@{self.host}:{self.port}/{self.name}"
