"""What a stack on AWS costs a month, before anything is created: `python -m infra.commands.cost STACK`, or `make cost`.

Prices are AWS's public on-demand prices of one region, in US dollars without tax; they change, and elsewhere they are
others, mostly higher.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from infra.aws.environment import ENVIRONMENTS, Environment, on_arm
from infra.aws.estimate import HOURS, PRICES_OF, Line, asleep, estimate, monthly, training
from infra.aws.quota import DEPLOYED, NEW_ACCOUNT_VCPUS, ON_DEMAND, SPOT, most_vcpus, request_for
from infra.aws.watch.warnings import warnings
from infra.options import Options
from infra.secrets import GIVEN, setting
from infra.stack import settings_of
from infra.topology import on_aws


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """A stack as its settings describe it; a `budget` of None is the estimate's own, and one of 0 none at all."""

    stack: str
    environment: Environment
    egress: str = ""
    edge: str = "balancer"
    options: Options = DEPLOYED
    workers: int = 1
    budget: int | None = None

    @classmethod
    def of(cls, stack: str, settings: Mapping[str, Any], environment: str = "") -> "Estimated":
        """From the settings of a stack, with another environment where one is named."""
        chosen = ENVIRONMENTS[environment or settings["environment"]]
        signing, trusted = (setting(name) in settings for name in GIVEN)
        budget = str(settings["monthlyBudget"])
        return cls(
            stack=stack,
            environment=on_arm(chosen) if settings["architecture"] == "arm64" else chosen,
            egress=settings["egress"],
            edge=settings["edge"],
            options=replace(DEPLOYED, keys=settings["keys"] != "off", signing=signing, trusted=trusted),
            workers=int(settings["workers"]),
            budget=int(budget) if budget else None,
        )


def table(asked: Estimated) -> str:
    """The estimate for people: every row, the total, asleep, a training, the budget, what stops it, and vCPUs."""
    environment, egress, edge = asked.environment, asked.egress, asked.edge
    lines = estimate(environment, egress=egress, options=asked.options, edge=edge)
    total = sum(line.dollars for line in lines)
    rows = [f"{line.dollars:>9.2f}  {line.what:<40} {line.how}" for line in lines]
    sleeping = asleep(environment, egress=egress, options=asked.options, edge=edge)
    return "\n".join(
        [
            f"environment {environment.name}, US dollars a month by list prices of {PRICES_OF}",
            *rows,
            f"{total:>9.2f}  in total; a day is {total * 24 / HOURS:.2f}",
            f"{sleeping:>9.2f}  in total while it sleeps",
            f"{training(environment, egress=egress):>9.2f}  for a training of some 5,000 X-rays, on top",
            f"More than half is: {', '.join(_most(lines))}.",
            _of_budget(asked, total),
            f"To pay for what is stored only: make sleep STACK={asked.stack}. To end it: make down STACK={asked.stack}",
            _of_quota(environment, asked.workers),
            "Prices change; your use is yours. Without taxes and traffic to the internet (100 GB a month is free).",
            "It is charged from `make up` until `make down`, whether anybody uses it or not.",
        ]
    )


def _most(lines: list[Line]) -> Iterator[str]:
    """The dearest rows, which are half of it together."""
    left = sum(line.dollars for line in lines) / 2
    for line in lines:
        yield line.what
        left -= line.dollars
        if left <= 0:
            return


def _of_budget(asked: Estimated, total: float) -> str:
    own = monthly(asked.environment, egress=asked.egress, options=asked.options, edge=asked.edge)
    dollars = own if asked.budget is None else asked.budget
    if not dollars:
        return "There is no budget, so nobody is told what is spent."
    sums = ", ".join(str(warning) for warning in warnings(dollars))
    text = f"Mails come when the account has spent {sums} dollars in a month, and when it is about to spend {dollars}."
    below = f" That is less than it costs: pulumi config set --stack {asked.stack} monthlyBudget {own}"
    return text + (below if dollars < total else "")


def _of_quota(environment: Environment, workers: int) -> str:
    """What of Fargate's quotas it takes, and how to get more where a new account has less."""
    lines = []
    for quota in (ON_DEMAND, SPOT):
        most = most_vcpus(environment, quota, workers=workers)
        if not most:
            continue
        text = f"It runs at most {most:g} vCPUs at once on Fargate {quota.name}"
        if most <= NEW_ACCOUNT_VCPUS:
            lines.append(f"{text}, and a new account has {NEW_ACCOUNT_VCPUS} or more.")
        else:
            asking = request_for(most, quota)
            lines.append(f"{text}. A new account may have {NEW_ACCOUNT_VCPUS}; ask for more before `make up`: {asking}")
    return "\n".join(lines)


def _wrong(stack: str, settings: Mapping[str, Any]) -> str:
    """What `make up` would say of a setting that cannot be: an estimate of it would be one of something else."""
    from infra.aws.imagined import graph_of  # noqa: PLC0415  heavy: the whole program
    from infra.settings import SettingError  # noqa: PLC0415

    try:
        graph_of(stack, settings)
    except SettingError as error:
        return str(error)
    return ""


def main() -> None:
    """Print the estimate."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.commands.cost", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("stack", nargs="?", default="aws")
    parser.add_argument("--environment", choices=sorted(ENVIRONMENTS), help="instead of the stack's own")
    options = parser.parse_args()
    if not on_aws(options.stack):
        sys.exit(f"{options.stack} costs nothing; what a stack on AWS costs: make cost STACK=aws")
    settings = settings_of(options.stack)
    if wrong := _wrong(options.stack, settings):
        sys.exit(wrong)
    print(table(Estimated.of(options.stack, settings, options.environment or "")))


if __name__ == "__main__":
    main()
