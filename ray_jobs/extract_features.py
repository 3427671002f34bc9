"""Bring the feature cache up to date with DATA_URI: `python -m ray_jobs.extract_features`."""

import argparse

from ray_jobs.feature_table.prepare import prepare
from ray_jobs.runtime.cli import run_job
from registry.settings import Settings


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.extract_features",
        description="Extract the features that the cache lacks.",
        uses=("ray", "state", "state to write"),
    )


def _job(settings: Settings, _: argparse.Namespace) -> None:
    print(prepare(settings).extract())


if __name__ == "__main__":
    main()
