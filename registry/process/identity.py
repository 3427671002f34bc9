"""Who changes Production: the name that goes on record."""

import getpass
import json
import os

from registry.settings import Settings

# Users of our images and of those that people build notebooks from: they are no one's name.
_NOBODY = {"app", "root", "jovyan", "sagemaker-user", "nobody", ""}
_METADATA_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
SUBMITTER = "submitted_by"
_OF_PEOPLE = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE")
_OF_PROGRAMS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def whoever(settings: Settings) -> str:
    """PROMOTED_BY, else who submitted this job, else who is logged in here, else who AWS says that the caller is.

    An account that many share, such as a container's, names nobody.
    """
    return person(settings) or _caller() or f"nobody by name (uid {os.getuid()})"


def person(settings: Settings) -> str:
    """The same, as far as it is a person's name: a role that AWS gives to whatever runs in a container is none."""
    return settings.promoted_by or submitter() or _logged_in() or ("" if _has_role_of_a_program() else _caller())


def submitter() -> str:
    """Who submitted the Ray job that this process belongs to, as far as its metadata say; else empty."""
    try:
        return str(json.loads(os.environ.get(_METADATA_VARIABLE, "{}")).get("metadata", {}).get(SUBMITTER, ""))
    except (ValueError, AttributeError):
        return ""


def _logged_in() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return ""
    return "" if name in _NOBODY else name


def _caller() -> str:
    """The caller's ARN where AWS gives this process credentials; of a role, with the name of the session."""
    if os.environ.get("AWS_ENDPOINT_URL_S3") or not _has_credentials():
        return ""  # a store of one's own knows no callers
    import boto3  # noqa: PLC0415 - heavy, and only AWS needs it
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    ask = Config(connect_timeout=2, read_timeout=3, retries={"max_attempts": 1})
    try:
        return str(boto3.session.Session().client("sts", config=ask).get_caller_identity()["Arn"])
    except (BotoCoreError, ClientError):
        return ""


def _has_credentials() -> bool:
    """Whether the environment has credentials or names a program's role: no metadata service is asked."""
    return _has_role_of_a_program() or any(os.environ.get(name) for name in _OF_PEOPLE)


def _has_role_of_a_program() -> bool:
    """Whether boto3 takes a role that was given to a container or a workload, and to no person."""
    return any(os.environ.get(name) for name in _OF_PROGRAMS) and not any(os.environ.get(name) for name in _OF_PEOPLE)
