"""Score a folder or bucket with the model in Production: `python -m ray_jobs.predict --data URI --out FILE.parquet`.

After an interruption, run it again: it scores only the pictures that are left.
"""

import argparse
import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import cv2
import pyarrow as pa
import pyarrow.parquet as pq
import ray

from features.reading.decode import READING_VERSION
from features.reading.errors import ImageError
from ray_jobs.dataset.ahead import read_ahead
from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import EntryError
from ray_jobs.dataset.listing import Listing
from ray_jobs.dataset.sources import open_source
from ray_jobs.runtime.cli import positive, run_job
from ray_jobs.runtime.cluster import connect, sole_owner
from ray_jobs.runtime.output import OutputFile
from ray_jobs.runtime.patience import in_turn
from ray_jobs.runtime.progress import Progress
from ray_jobs.runtime.tasks import task
from registry.errors import FixableError, UsageError
from registry.model.answer import ScoredImage
from registry.model.bundle import Bundle
from registry.model.structured_report import NoReportError, Reported, reference_of, structured_report
from registry.model.versions import fetch, version_of
from registry.production.current import required_production
from registry.settings import Settings
from registry.state import State, open_state

BATCH = 64
ABSTAINED = "the answer would be near the threshold, and ABSTAIN is near-threshold; let a person read the X-ray"
_FOLDER = "scores"
SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("probability", pa.float64()),
        pa.field("label", pa.string()),
        pa.field("model_version", pa.int64(), nullable=False),
        pa.field("warning", pa.string()),
        pa.field("error", pa.string()),
    ]
)


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


@dataclass(frozen=True, kw_only=True)
class ScoringJob:
    """A model and the pictures that it scores in batches, kept by workers until the job is done; these get no listing.

    One that `abstains` gives no answer that is near the threshold. With `reports`, a folder, each answer about a DICOM
    image is written there as a structured report too.
    """

    source: Source
    bundle: Bundle
    version: int
    state: State
    key: str
    listing: Listing | None
    abstains: bool = False
    model: str = ""
    digest: str = ""
    reports: State | None = None

    @classmethod
    def of(
        cls,
        source: Source,
        bundle: Bundle,
        version: int,
        digest: str,
        state: State,
        *,
        abstains: bool = False,
        model: str = "",
        reports: State | None = None,
    ) -> "ScoringJob":
        """The job of a source as it is now; its key is the same for the same pictures, model and decoder.

        Raises
        ------
        UsageError
            If the source holds no file.
        """
        listing = Listing(source)
        if not len(listing):
            raise UsageError(f"{source.uri} holds no pictures, so there is nothing to score; name another with --data")
        how = f"{source.uri}\0{digest}\0{READING_VERSION}\0{BATCH}\0{abstains}"
        how += f"\0{reports.base}" if reports else ""
        key = hashlib.sha256(how.encode("utf-8", "surrogatepass"))
        for entry in listing:
            key.update(f"\0{entry.path}\0{entry.size}\0{entry.version}".encode("utf-8", "surrogatepass"))
        return cls(
            source=source,
            bundle=bundle,
            version=version,
            state=state,
            key=key.hexdigest()[:16],
            listing=listing,
            abstains=abstains,
            model=model,
            digest=digest,
            reports=reports,
        )

    def path(self, index: int) -> str:
        """The file that keeps one batch."""
        return self.state.path(_FOLDER, self.key, f"{index:08d}.parquet")

    def forget(self) -> None:
        """Remove what was kept, once the answers are where they belong."""
        with contextlib.suppress(FileNotFoundError):
            self.state.filesystem.delete_dir(self.state.path(_FOLDER, self.key))


def score(job: ScoringJob, *, ray_address: str | None) -> Iterator[pa.RecordBatch]:
    """One row an image of a source, in the order of their paths.

    An image that cannot be scored, or is no chest X-ray, has its error; one that is scored with a doubt its warning.
    Batches that an interrupted run kept are read, not scored again. Only a few batches are in memory at a time.
    """
    if job.listing is None:
        raise ValueError("a job on a worker has no listing of its pictures")
    connect(ray_address)
    common, batches = ray.put(replace(job, listing=None)), enumerate(job.listing.batches(BATCH))
    with Progress("predict", unit="image", total=len(job.listing)) as progress:
        for rows in in_turn(lambda batch: _batch.remote(common, *batch), batches, "predict"):
            progress.update(len(rows))
            yield rows


@task(span="predict a batch", max_retries=5)
def _batch(job: ScoringJob, index: int, paths: tuple[str, ...]) -> pa.RecordBatch:
    kept = job.path(index)
    if job.state.exists(kept):
        return pq.read_table(BytesIO(job.state.read(kept)), schema=SCHEMA).combine_chunks().to_batches()[0]
    cv2.setNumThreads(1)  # the worker has one core; OpenCV would start a thread for every core of the machine
    rows, unread = list[dict[str, object]](), False
    for path, data in zip(paths, read_ahead(job.source, paths), strict=True):
        if isinstance(data, EntryError):
            rows.append(_empty(job, path) | {"error": _text(str(data))})
            unread = True
        else:
            rows.append(_row(job, path, data))
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    if not unread:  # a picture that could not be read is tried again by the next run
        content = BytesIO()
        pq.write_table(pa.Table.from_batches([batch]), content, compression="zstd")
        job.state.write(kept, content.getvalue())
    return batch


def _row(job: ScoringJob, path: str, data: bytes) -> dict[str, object]:
    try:
        scored = job.bundle.score(data)
    except ImageError as error:
        return _empty(job, path) | {"error": _text(str(error))}
    if job.abstains and scored.unsure:
        return _empty(job, path) | {"error": ABSTAINED}
    if job.reports:
        _report(job, job.reports, path, data, scored)
    warning = " ".join(doubt.detail for doubt in scored.doubts) or None
    answer = {"probability": scored.probability, "label": scored.label, "warning": warning}
    return _empty(job, path) | answer


def _report(job: ScoringJob, reports: State, path: str, data: bytes, scored: ScoredImage) -> None:
    """Write the structured report on an answer, under the picture's path; about what is no DICOM there is none."""
    reported = Reported(
        label=scored.label,
        probability=scored.probability,
        threshold=job.bundle.threshold,
        warnings=[doubt.code for doubt in scored.doubts],
        model=job.model,
        version=job.version,
        digest=job.digest,
    )
    with contextlib.suppress(NoReportError):
        reports.write(reports.path(f"{_text(path)}.sr.dcm"), structured_report(reference_of(data), reported))


def _empty(job: ScoringJob, path: str) -> dict[str, object]:
    return dict.fromkeys(SCHEMA.names) | {"path": _text(path), "model_version": job.version}


def _text(text: str) -> str:
    """Text as Parquet takes it: the bytes of a file name that is no UTF-8 are written out."""
    return text.encode("utf-8", "backslashreplace").decode()


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
    print(f"{version} scored {_text(source.uri)}: {tally}; {options.out}{below}")
    if not tally.answered:
        raise NothingAnsweredError(
            f"{version} answered none of the {tally.pictures} pictures, and the column `error` of {options.out} says "
            f"why of each. The first: {tally.first_error}"
        )


if __name__ == "__main__":
    main()
