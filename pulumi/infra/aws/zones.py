"""In which zones of a region a stack stands: not every one has every machine."""

from collections.abc import Collection, Iterable

from infra.aws.environment import Environment

ZONES = 2


def machine(environment: Environment) -> str:
    """The machine of the database, as EC2 names it; the zones that have it have the smaller ones of the rest."""
    return environment.database_class.removeprefix("db.")


def chosen(there: Iterable[str], offering: Collection[str]) -> list[str]:
    """The first zones by name that offer the machine; where they are too few, the first of all."""
    known = sorted(there)
    fit = [zone for zone in known if zone in offering]
    return (fit if len(fit) >= ZONES else known)[:ZONES]
