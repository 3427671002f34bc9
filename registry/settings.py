"""The settings of the whole system, read once from the environment and an optional `.env` file."""

import difflib
import io
import os
import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from dotenv import load_dotenv
from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from registry.addresses import is_ipv6, is_server, shown, sqlite_address, url_here, with_home, with_plain_file
from registry.errors import FixableError

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"
_HOST = re.compile(r"[A-Za-z0-9._-]+")  # a name or IPv4
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ALIKE, _WORD_ALIKE = 0.86, 0.6
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104  a name that is asked, not an address to listen on


class SettingsError(FixableError):
    """A setting is missing or outside what it takes; the message names it."""


class Settings(BaseSettings):
    """Every setting, under the name of its environment variable in lower case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    execution_environment: Literal["local", "cloud"] = "local"
    data_uri: str = "synthetic:600"
    mlflow_tracking_uri: str = sqlite_address(LOCAL / "mlflow.db")
    mlflow_tracking_uri_cloud: str | None = None
    mlflow_page_url: str | None = None
    webapp_page_url: str | None = None
    state_uri: str = str(LOCAL / "state")
    model_name: str = "pneumonia"
    ray_address: str | None = None
    promoted_by: str | None = Field(None, max_length=200)
    alias_guard: Literal["report", "restore"] = "restore"
    approval: Literal["off", "required"] = "off"
    abstain: Literal["off", "near-threshold"] = "off"
    retrain: Literal["off", "weekly", "on-drift"] = "off"
    training_sample: int = Field(6_500, ge=1_000)
    signing_key: Path | None = None
    trusted_key: Path | None = None
    webapp_uri: str | None = None
    http_host: str = "127.0.0.1"
    http_port: int = Field(8080, ge=1, le=65535)
    mlflow_port: int = Field(5000, ge=1, le=65535)
    serve_replicas: int = Field(2, ge=1, le=64)
    serve_max_replicas: int | None = Field(None, ge=1, le=64)
    serve_ingress: Literal["auto", "haproxy", "python"] = "auto"
    log_format: Literal["auto", "json", "text"] = "auto"
    prediction_records: Literal["on", "off"] = "on"
    api_keys: SecretStr | None = None
    api_keys_file: Path | None = None
    allowed_hosts: str | None = None
    otel_exporter_otlp_endpoint: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _space_around_means_nothing(cls, values: dict[str, object]) -> dict[str, object]:
        """Strip every value, and take a blank one for absent; only `--data ""` is told, where the source is opened."""
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != "" or name == "data_uri"}

    @field_validator("model_name")
    @classmethod
    def _name_for_mlflow(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("it takes up to 64 letters, digits, '.', '_' and '-' that begin with a letter or a digit")
        return value

    @field_validator("http_host")
    @classmethod
    def _host_alone(cls, value: str) -> str:
        """A name or an address; IPv6 may have its brackets."""
        host = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        if not (is_ipv6(host) if ":" in host else _HOST.fullmatch(host)):
            raise ValueError("it takes a host alone, such as 127.0.0.1, ::1 or 0.0.0.0; the port is HTTP_PORT")
        return host

    @field_validator("webapp_uri")
    @classmethod
    def _address_of_a_server(cls, value: str | None) -> str | None:
        if value is not None and not is_server(value):
            raise ValueError("it takes the address of a server, such as http://127.0.0.1:8080")
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _address_of_a_collector(cls, value: str | None) -> str | None:
        if value is not None and (not is_server(value) or urlsplit(value).path.strip("/")):
            raise ValueError("it takes an address with its scheme and without a path, such as http://127.0.0.1:4317")
        return value

    @field_validator(
        "data_uri", "state_uri", "mlflow_tracking_uri", "api_keys_file", "signing_key", "trusted_key", mode="before"
    )
    @classmethod
    def _home_is_written_out(cls, value: object) -> object:
        """Expand `~`, which no shell expands in `.env` or after `sqlite:///`."""
        prefix = "sqlite:///" if str(value).startswith("sqlite:///~") else ""
        path = str(value).removeprefix(prefix)
        return f"{prefix}{with_home(path)}" if path.startswith("~") else value

    @field_validator("mlflow_tracking_uri", "mlflow_tracking_uri_cloud")
    @classmethod
    def _address_of_a_database_or_server(cls, value: str | None) -> str | None:
        if value is not None and "://" not in value:
            raise ValueError(
                "it takes an address, such as sqlite:///mlflow.db, postgresql://… or http://127.0.0.1:5000"
            )
        return value

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _escaped_no_more_than_needed(cls, value: str) -> str:
        return with_plain_file(value)

    @model_validator(mode="after")
    def _cloud_names_its_tracking_server(self) -> Self:
        if self.execution_environment == "cloud" and not self.mlflow_tracking_uri_cloud:
            raise ValueError(
                "EXECUTION_ENVIRONMENT is 'cloud' but MLFLOW_TRACKING_URI_CLOUD is not set; "
                "set it to the MLflow server's address, for example http://mlflow.hm-mlflow.internal"
            )
        return self

    @model_validator(mode="after")
    def _most_replicas_are_not_fewer_than_the_least(self) -> Self:
        if self.serve_max_replicas is not None and self.serve_max_replicas < self.serve_replicas:
            raise ValueError(
                f"SERVE_MAX_REPLICAS is {self.serve_max_replicas}, below SERVE_REPLICAS, {self.serve_replicas}; "
                "raise it, or leave it out for a fixed number"
            )
        return self

    @property
    def tracking_uri(self) -> str:
        """Where runs and versions are kept in the environment that is chosen."""
        if self.execution_environment == "cloud" and self.mlflow_tracking_uri_cloud:
            return self.mlflow_tracking_uri_cloud
        return self.mlflow_tracking_uri

    @property
    def abstains(self) -> bool:
        """Whether answers near the threshold are not given."""
        return self.abstain == "near-threshold"

    @property
    def most_replicas(self) -> int:
        """How many replicas of the webapp there may be."""
        return self.serve_max_replicas or self.serve_replicas

    @property
    def webapp_url(self) -> str:
        """Where jobs ask the webapp: WEBAPP_URI, else this machine."""
        return self.webapp_uri or url_here(self.http_host, self.http_port)

    @property
    def tracking_variable(self) -> str:
        """The name of the setting that `tracking_uri` comes from, for messages."""
        return "MLFLOW_TRACKING_URI" if self.tracking_uri == self.mlflow_tracking_uri else "MLFLOW_TRACKING_URI_CLOUD"


def load_settings(**overrides: object) -> Settings:
    """Read the environment, then `.env` for what it lacks; keyword arguments that are not None win over both.

    The AWS variables of `.env` reach boto3 and Arrow too, because the file is loaded into the environment. Calls to
    this machine go past the proxy that the environment names, in every library and every process that is started.

    Raises
    ------
    SettingsError
        Naming each variable that is wrong, its value and what it takes.
    """
    _load(ROOT / ".env")
    _ask_this_machine_without_a_proxy()
    # MLflow's bar for a handful of small files, and its two lines a run, would interrupt the job's own.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem) for problem in error.errors())) from None


def _ask_this_machine_without_a_proxy() -> None:
    """Add the names of this machine to NO_PROXY and no_proxy, and keep what is there.

    Where both are set, libraries differ in which one they read; where one is set, it says what the other one lacks.
    """
    given = {name: os.environ.get(name, "").strip() for name in ("no_proxy", "NO_PROXY")}
    for name, value in given.items():
        hosts = [host.strip() for host in (value or next(filter(None, given.values()), "")).split(",")]
        hosts = [host for host in hosts if host]
        hosts += [host for host in _THIS_MACHINE if host not in hosts]
        os.environ[name] = "*" if "*" in hosts else ",".join(hosts)  # in a list "*" means nothing to some libraries


def _load(file: Path) -> None:
    """Set what a `.env` sets and the environment does not; every line of it is understood or named."""
    if not file.is_file():  # absent, or the folder of a virtual environment
        return
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{file}, line {line}, is not written in UTF-8; save it as UTF-8.") from None
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror or error}; change its permissions.") from None
    if "\0" in text:
        raise SettingsError(f"{file} holds zero bytes, as UTF-16 does; save it as UTF-8.")
    for found in parse_stream(io.StringIO(text)):
        if found.error:
            written = found.original.string.strip().splitlines()[0]
            name = written.partition("=")[0].strip()  # not the value, which may be a secret
            raise SettingsError(
                f"{file}, line {found.original.line}, at {name!r}, is not NAME=value; a quote may not be closed."
            )
        if found.key is not None and not _VARIABLE.fullmatch(found.key):  # it would set what nobody reads
            raise SettingsError(
                f"{file}, line {found.original.line}, at {found.key!r}, is not NAME=value: that is no variable's name."
            )
        if found.key is not None and (meant := _meant(found.key)):
            raise SettingsError(
                f"{file}, line {found.original.line}, at {found.key!r}: there is no such setting; {meant} may be meant."
            )
    load_dotenv(stream=io.StringIO(text))


def _meant(name: str) -> str:
    """The setting that a name is nearly, in letters; empty where it is one or is nothing like one."""
    ours = [field.upper() for field in Settings.model_fields]
    if name in ours:
        return ""
    alike = difflib.get_close_matches(name, [one for one in ours if _is_slip(name, one)], n=1, cutoff=_ALIKE)
    return next(iter(alike), "")


def _is_slip(name: str, ours: str) -> bool:
    """Whether a name can be a slip of ours: it has as many words, of which one is another, and that one is alike."""
    words, own = name.split("_"), ours.split("_")
    others = [pair for pair in zip(words, own, strict=False) if pair[0] != pair[1]]
    if len(words) != len(own) or len(others) != 1:
        return False
    return difflib.SequenceMatcher(None, *others[0]).ratio() > _WORD_ALIKE


def _explain(problem: ErrorDetails) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    name, value = str(problem["loc"][0]).upper(), problem["input"]
    value = shown(value) if isinstance(value, str) else value
    return f"{name} is {value!r}: {message}. Change it in the environment or in .env; .env.example lists all."
