"""Approve a version that waits: `python -m ray_jobs.promote VERSION`; with `--why TEXT`, whatever the gate said."""

import argparse
import tempfile
from pathlib import Path

from ray_jobs.runtime.cli import positive, run_job
from ray_jobs.tracking.traffic import bring_into_traffic
from registry.approval import promote_by_hand
from registry.settings import Settings
from registry.versions import fetch, version_of


def main() -> None:
    """The job."""
    run_job(_job, module="ray_jobs.promote", description="Make a version Production.", data=False, arguments=_arguments)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", type=positive, help="the number of the version")
    parser.add_argument("--why", help="the reason, which is recorded; a version that waits needs none")


def _job(settings: Settings, options: argparse.Namespace) -> None:
    version = version_of(settings, options.version)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = fetch(settings, version, Path(scratch) / "bundle")  # what serving would refuse is refused here
    change = promote_by_hand(settings, version, why=options.why)
    if change is None:
        print(f"{version} is in Production already.")
    else:
        before = f"version {change.from_version}" if change.from_version else "nothing"
        print(f"{version} is in Production, in place of {before}. Undo with python -m ray_jobs.rollback")
    print(f"traffic: {bring_into_traffic(settings, version, bundle)}")


if __name__ == "__main__":
    main()
