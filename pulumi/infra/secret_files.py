"""Secrets as a service finds them: files, and the variables that name those files."""

from infra.spec import SECRETS, Value


def paths(variables: dict[str, str]) -> dict[str, Value]:
    """Variables that name the file of a secret."""
    return {variable: f"{SECRETS}/{secret}" for variable, secret in variables.items()}


def from_files(variables: dict[str, str]) -> dict[str, Value]:
    """The images' entrypoint exports NAME from the file that NAME_FROM_FILE names."""
    return paths({f"{variable}_FROM_FILE": secret for variable, secret in variables.items()})


def files(*secrets: str) -> dict[str, str]:
    """The file of each secret."""
    return {secret: f"{SECRETS}/{secret}" for secret in secrets}
