"""Score a folder or bucket with the model in Production: `python -m ray_jobs.predict --data URI --out FILE.parquet`.

After an interruption, run it again: it scores only the pictures that are left.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ray_jobs.dataset.sources import open_source
from ray_jobs.runtime.cli import positive, run_job
from ray_jobs.runtime.cluster import sole_owner
from ray_jobs.runtime.output import OutputFile
from ray_jobs.scoring import SCHEMA, ScoringJob, printable, score
from registry.errors import FixableError
from registry.model.versions import fetch, version_of
from registry.production.current import required_production
from registry.settings import Settings
from registry.state import open_state


class NothingAnsweredError(FixableError):
    """Every picture has an error in the place of an answer."""


@dataclass
class Tally:
    """How many pictures got an answer, and the error of the first that got none."""

    pictures: int = 0
    answered: int = 0
    first_error: str = ""

    def of(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches, counted as they pass."""
        for batch in batches:
            errors = batch.column("error").drop_null()
            self.pictures += len(batch)
            self.answered += len(batch) - len(errors)
            if len(errors) and not self.first_error:
                self.first_error = errors[0].as_py()
            yield batch

    def __str__(self) -> str:
        left = self.pictures - self.answered
        return f"{self.answered:,} pictures have an answer" + (f", {left:,} an error instead" if left else "")


def main() -> None:
    """The job."""
    run_job(_job, module="ray_jobs.predict", description="Score X-rays with a registered model.", arguments=_arguments)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=OutputFile.parse,
        required=True,
        metavar="FILE",
        help="where the answers go: FILE.parquet or FILE.csv on this machine, or s3://BUCKET/KEY.parquet",
    )
    parser.add_argument(
        "--reports",
        metavar="URI",
        help="also write each answer about a DICOM image as a structured report below this folder or s3://bucket/prefix",
    )
    parser.add_argument("--version", type=positive, help="a version by its number (default: what is in Production)")


def _job(settings: Settings, options: argparse.Namespace) -> None:
    options.out.try_out()
    version = version_of(settings, options.version) if options.version else required_production(settings)
    source = open_source(settings.data_uri)
    reports = open_state(options.reports, variable="--reports") if options.reports else None
    if reports:
        reports.try_out()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = fetch(settings, version, Path(scratch) / "bundle")
        job = ScoringJob.of(
            source,
            bundle,
            version.version,
            version.digest,
            open_state(settings.state_uri),
            abstains=settings.abstains,
            model=version.name,
            reports=reports,
        )
        tally = Tally()
        with sole_owner(f"predict-{job.key}", settings):
            options.out.write(tally.of(score(job, ray_address=settings.ray_address)), SCHEMA)
            job.forget()
    below = f", reports below {options.reports}" if reports else ""
    print(f"{version} scored {printable(source.uri)}: {tally}; {options.out}{below}")
    if not tally.answered:
        raise NothingAnsweredError(
            f"{version} answered none of the {tally.pictures} pictures, and the column `error` of {options.out} says "
            f"why of each. The first: {tally.first_error}"
        )


if __name__ == "__main__":
    main()
