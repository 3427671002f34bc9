"""Score the pictures of a source in batches on Ray, and keep each batch until all of them are done."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO

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
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.patience import in_turn
from ray_jobs.runtime.progress import Progress
from ray_jobs.runtime.tasks import task
from registry.errors import UsageError
from registry.model.answer import ScoredImage
from registry.model.bundle import Bundle
from registry.model.structured_report import NoReportError, Reported, reference_of, structured_report
from registry.records.forgetting import SCORES
from registry.state import State

BATCH = 64
ABSTAINED = "the answer would be near the threshold, and ABSTAIN is near-threshold; let a person read the X-ray"
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
        return self.state.path(SCORES, self.key, f"{index:08d}.parquet")

    def forget(self) -> None:
        """Remove what was kept, once the answers are where they belong."""
        with contextlib.suppress(FileNotFoundError):
            self.state.filesystem.delete_dir(self.state.path(SCORES, self.key))


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
            rows.append(_empty(job, path) | {"error": printable(str(data))})
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
        return _empty(job, path) | {"error": printable(str(error))}
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
        reports.write(reports.path(f"{printable(path)}.sr.dcm"), structured_report(reference_of(data), reported))


def _empty(job: ScoringJob, path: str) -> dict[str, object]:
    return dict.fromkeys(SCHEMA.names) | {"path": printable(path), "model_version": job.version}


def printable(text: str) -> str:
    """Text as Parquet takes it: the bytes of a file name that is no UTF-8 are written out."""
    return text.encode("utf-8", "backslashreplace").decode()
