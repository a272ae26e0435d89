"""What the commands can be told, and by whom: option, then environment, then file, then default.

The rules:

1. Every setting has one name: ``max_frame`` is the option ``--max-frame``, the variable ``CQRSBUS_MAX_FRAME`` and
   the key ``max_frame`` of the file. (``url`` is the option ``--broker``.)
2. The file is TOML: the one that is named, else ``cqrsbus.toml`` of the current directory, if it is there.
3. A file is taken as a whole or not at all: an unknown key or a value of another type is refused.
4. A refusal says where the value came from: which option, which variable, or which line of which file.
"""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from cqrsbus.broker.limits import MAX_FRAME, MAX_HEADER, MIN_FRAME, MIN_HEADER, BrokerLimits
from cqrsbus.cli.failures import UsageError
from cqrsbus.transports.url import DEFAULT_URL

PREFIX: Final = "CQRSBUS_"
DEFAULT_FILE: Final = "cqrsbus.toml"

Backend = Literal["asyncio", "uvloop", "trio"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_LIMITS: Final = BrokerLimits()


class Values(BaseModel):
    """Every setting and its default; times in seconds, sizes in bytes."""

    model_config = ConfigDict(extra="forbid")

    url: str = DEFAULT_URL
    connect_timeout: Seconds = 3.0
    timeout: Seconds = 3.0
    backend: Backend = "asyncio"
    log_level: LogLevel | None = None
    log_format: LogFormat = "text"

    listen: Annotated[list[str], NoDecode, Field(min_length=1)] = [DEFAULT_URL]
    insecure: bool = False
    max_connections: PositiveInt = _LIMITS.max_connections
    max_opening: PositiveInt = _LIMITS.max_opening
    max_frame: Annotated[int, Field(ge=MIN_FRAME, le=MAX_FRAME)] = _LIMITS.max_frame
    max_header: Annotated[int, Field(ge=MIN_HEADER, le=MAX_HEADER)] = _LIMITS.max_header
    max_outbox: PositiveInt = _LIMITS.max_outbox
    handshake_timeout: Seconds = _LIMITS.handshake_timeout
    heartbeat: Seconds = _LIMITS.heartbeat
    write_timeout: Seconds = _LIMITS.write_timeout
    drain_timeout: NonNegativeFloat = _LIMITS.drain_timeout

    @field_validator("listen", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """A variable, or a key of the file, may give several URLs in one text."""
        return re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value

    def limits(self) -> BrokerLimits:
        """The limits of a broker with these settings."""
        return BrokerLimits(
            max_connections=self.max_connections,
            max_opening=self.max_opening,
            handshake_timeout=self.handshake_timeout,
            heartbeat=self.heartbeat,
            write_timeout=self.write_timeout,
            max_frame=self.max_frame,
            max_header=self.max_header,
            max_outbox=self.max_outbox,
            drain_timeout=self.drain_timeout,
        )


class Settings(Values, BaseSettings):
    """The settings, with those of the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid")


def load_settings(config: Path | None = None, **options: object) -> Settings:
    """Gather the settings from where they may be given.

    Args:
        config: The file; default: ``CQRSBUS_CONFIG``, then ``cqrsbus.toml`` here, if it is there.
        options: What was given on the command line; None where nothing was.

    Raises:
        UsageError: A value is not what it should be, or the file cannot be read; the text says which and where.
    """
    path = _config_file(config)
    file = _read(path) if path else {}
    given = {name: value for name, value in options.items() if value is not None}

    class WithFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, file)

    try:
        return WithFile(**given)  # type: ignore[arg-type]  # checked right there
    except ValidationError as error:
        name, why = _first_finding(error)
        raise UsageError(f"{_option(name) if name in given else PREFIX + name.upper()}: {why}") from None


def _config_file(config: Path | None) -> Path | None:
    if named := config or os.environ.get(f"{PREFIX}CONFIG"):
        return Path(named)
    default = Path(DEFAULT_FILE)
    return default if default.exists() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not a TOML file: {error}") from None
    try:
        # Strictly: in a file a number is written as a number.
        Values.model_validate(data, strict=True)
    except ValidationError as error:
        name, why = _first_finding(error)
        raise UsageError(f"{path}{_line(text, name)}: {name}: {why}") from None
    return data


def _first_finding(error: ValidationError) -> tuple[str, str]:
    finding = error.errors(include_url=False, include_input=False)[0]
    name = str(finding["loc"][0]) if finding["loc"] else ""
    if finding["type"] != "extra_forbidden":
        return name, finding["msg"]
    similar = difflib.get_close_matches(name, Values.model_fields, n=1)
    return name, "there is no such setting" + (f"; did you mean {similar[0]}?" if similar else "")


def _option(name: str) -> str:
    return "--broker" if name == "url" else f"--{name.replace('_', '-')}"


def _line(text: str, key: str) -> str:
    pattern = re.compile(rf"\s*(?:\[+\s*)?[\"']?{re.escape(key)}\b")
    return next((f", line {number}" for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), "")
