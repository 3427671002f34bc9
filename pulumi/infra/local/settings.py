"""The settings of a stack on this machine, read once and checked."""

from dataclasses import dataclass, replace

import pulumi

from infra.options import Options
from infra.settings import SettingError, check_local_stack, read_commit, read_options, read_retrain

_MOST_WORKERS = 64


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """What `pulumi config` says, described in Pulumi.yaml; `optional` names the optional services that are wanted."""

    workers: int
    retrain: str
    optional: frozenset[str]
    options: Options
    keep_data: bool
    commit: str


def read_local_settings() -> LocalSettings:
    """Read and check the configuration; raises SettingError."""
    check_local_stack(pulumi.get_stack())
    config = pulumi.Config()
    workers = config.require_int("workers")
    if not 0 <= workers <= _MOST_WORKERS:
        raise SettingError(
            f"workers is {workers}; it takes 0 to {_MOST_WORKERS}, for example: pulumi config set workers 4"
        )
    retrain = read_retrain(config)
    wanted = [name for name in ("jupyter", "dashboards") if config.require_bool(name)]
    return LocalSettings(
        workers=workers,
        optional=frozenset(wanted + ["scheduler"] * (retrain != "off")),
        options=replace(
            read_options(login=config.require_bool("login"), approval=False, keys=False),
            dashboards=config.require_bool("dashboards"),
        ),
        retrain=retrain,
        keep_data=config.require_bool("keepData"),
        commit=read_commit(),
    )
