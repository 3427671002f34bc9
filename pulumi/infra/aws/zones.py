"""In which zones of a region a stack stands: not every one has every machine."""

from collections.abc import Collection, Iterable

from infra.aws.environment import Environment

ZONES = 2
# Where CloudFront reaches no load balancer inside a network, by ids: a zone's name is another one in each account.
_NOT_BY_CLOUDFRONT = {"use1-az3", "usw1-az2", "cac1-az3", "apne1-az3", "apne2-az1"}


def machine(environment: Environment) -> str:
    """The machine of the database, as EC2 names it; the zones that have it have the smaller ones of the rest."""
    return environment.database_class.removeprefix("db.")


def chosen(there: Iterable[str], offering: Collection[str]) -> list[str]:
    """The first zones by name that offer the machine; where they are too few, the first of all."""
    known = sorted(there)
    fit = [zone for zone in known if zone in offering]
    return (fit if len(fit) >= ZONES else known)[:ZONES]


def behind_cloudfront(names: Iterable[str], ids: Iterable[str]) -> list[str]:
    """The zones in which a load balancer can stand that CloudFront alone reaches; both are in the same order."""
    return [name for name, known in zip(names, ids, strict=True) if known not in _NOT_BY_CLOUDFRONT]
