"""What waits for a person's approval, and why it passed: `python -m ray_jobs.candidates`."""

import argparse

from ray_jobs.runtime.cli import run_job
from registry.production.approval import WaitingVersion, candidates
from registry.production.current import production
from registry.settings import Settings


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.candidates",
        description="List the versions that passed the gate and wait for a person's approval.",
        data=False,
        uses=("tracking", "state"),
    )


def _job(settings: Settings, options: argparse.Namespace) -> None:  # noqa: ARG001  it takes no arguments
    serves = production(settings)
    number = serves.version if serves else None
    waiting = [one for one in candidates(settings) if one.version.version != number]
    print("\n\n".join(_described(one, number) for one in waiting) or f"No version of {settings.model_name} waits.")


def _described(candidate: WaitingVersion, serves: int | None) -> str:
    version, passed = candidate.version, candidate.passed
    approve = f"python -m ray_jobs.promote {version.version}"
    if passed.against == serves:
        next_step = f"approve     {approve}"
    else:
        against = f"version {passed.against}" if passed.against else "nothing"
        next_step = (
            f"overtaken   it was compared with {against}, and version {serves} is in Production now; train again, "
            f"or promote it all the same: {approve} --why TEXT"
        )
    return "\n".join(
        (
            f"waits       {version}, run {version.run_id}, registered {version.created:%Y-%m-%d %H:%M} UTC",
            f"gate        passed: {passed.why}",
            next_step,
        )
    )


if __name__ == "__main__":
    main()
