"""Undo the last promotion: `python -m ray_jobs.rollback --why TEXT`."""

import argparse
import tempfile
from pathlib import Path

from ray_jobs.runtime.cli import reason, run_job
from ray_jobs.tracking.lineage import OF_GENERATED
from ray_jobs.tracking.traffic import wait_for_traffic
from registry.model.versions import fetch
from registry.production.current import required_production
from registry.production.promotion import rollback
from registry.settings import Settings


def main() -> None:
    """The job."""
    run_job(_job, module="ray_jobs.rollback", description="Undo the last promotion.", data=False, arguments=_arguments)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--why", type=reason, default="rolled back by hand", help="the reason, which is recorded")


def _job(settings: Settings, options: argparse.Namespace) -> None:
    change = rollback(settings, why=options.why)
    print(
        f"{settings.model_name} version {change.to_version} is in Production again, "
        f"in place of version {change.from_version}."
    )
    version = required_production(settings)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = fetch(settings, version, Path(scratch) / "bundle")
    if bundle.generated:
        print(OF_GENERATED.format(version))
    print(f"traffic: {wait_for_traffic(settings, version, bundle)}")


if __name__ == "__main__":
    main()
