"""The address of the database and the size of its pool, from `DB_*` variables and `.env`. Opens no connection."""

from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketlab.errors import InvalidInputError


class Settings(BaseSettings):
    """Connection and pool settings; each field can be set as `DB_<FIELD>` or in `.env`.

    Only `url` contains the password; it is never printed.
    """

    model_config = SettingsConfigDict(env_prefix="DB_", env_file=".env", extra="ignore", frozen=True)
    """Read from `DB_*` and `.env`; never changed."""

    host: str = "localhost"
    """Host name or IP address."""
    port: int = Field(default=5432, ge=1, le=65535)
    """TCP port."""
    username: str = "postgres"
    """The role that connects; it creates tables, and for a lab databases."""
    password: SecretStr = SecretStr("postgres")
    """Never shown, neither in the text of these settings nor in an error."""
    name: str = "app_db"
    """The name of the database."""
    options: str = ""
    """Options of libpq as in a URL, for example `sslmode=verify-full&sslrootcert=ca.pem`."""
    pool_size: PositiveInt = 20
    """The maximum number of connections."""
    pool_acquire_timeout_s: PositiveFloat = 60.0
    """How long a buyer waits for a connection before its purchase ends as UNAVAILABLE."""
    pool_idle_timeout_s: PositiveFloat = 30.0
    """How long a connection may be idle before it is closed."""

    @classmethod
    def load(cls, env_file: Path | None = Path(".env"), **changes: object) -> Self:
        """The settings of the environment, with `changes` on top.

        Raises:
            InvalidInputError: a variable has a value that cannot be used; the text names the variable, not its value.
        """
        try:
            # _env_file is a run-time argument of BaseSettings that is missing from its generated signature.
            return cls(_env_file=env_file, **changes)  # type: ignore[call-arg,arg-type]
        except ValidationError as error:
            errors = "; ".join(f"DB_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
            raise InvalidInputError(f"The database settings cannot be used. {errors}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"The file {env_file} cannot be read: {error}.") from error

    @classmethod
    def from_url(cls, url: str, **changes: object) -> Self:
        """The settings of a `postgresql://user:password@host:port/name?options` URL.

        `DB_*` and `.env` are not read: a field that neither the URL nor `changes` sets has its default.
        """
        expected = "A database URL has the form postgresql://user:password@host:port/name"
        try:
            parts = urlsplit(url)
            port = 5432 if parts.port is None else parts.port
        except ValueError:
            raise InvalidInputError(f"{expected}; the port of the given one is not a number.") from None
        if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname:
            raise InvalidInputError(f"{expected}; the given one does not.")
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
        """The libpq URL with the password: for connecting, never for printing."""
        login = f"{quote(self.username, safe='')}:{quote(self.password.get_secret_value(), safe='')}"
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")  # IPv6 goes in brackets
        options = f"?{self.options}" if self.options else ""
        return f"postgresql://{login}@{host}:{self.port}/{quote(self.name, safe='')}{options}"

    @property
    def address(self) -> str:
        """User, host, port and database without the password, for messages."""
        return f"{self.username}@{self.host}:{self.port}/{self.name}"
