"""Score a folder or bucket with the model in Production: `python -m ray_jobs.predict --data URI --out FILE.parquet`."""

import argparse
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import pyarrow as pa
import ray
from pyarrow.fs import LocalFileSystem
from tqdm import tqdm

from features.reading.errors import ImageError
from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import EntryError
from ray_jobs.dataset.parquet import publish
from ray_jobs.dataset.sources import open_source
from ray_jobs.runtime.cli import positive, run_job
from ray_jobs.runtime.cluster import connect, cpus
from registry.bundle import Bundle
from registry.settings import Settings
from registry.versions import fetch, production, version_of

BATCH = 64
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


def predict(source: Source, bundle: Bundle, version: int, *, ray_address: str | None) -> Iterator[pa.RecordBatch]:
    """One row an image of a source, in the order of their paths.

    An image that cannot be scored, or is no chest X-ray, has its error; one that is scored with a doubt its warning.

    Only a few batches are in memory at a time, however many images there are.
    """
    paths = sorted(entry.path for entry in source.entries())
    connect(ray_address)
    common = ray.put((source, bundle, version))
    batches = iter([paths[start : start + BATCH] for start in range(0, len(paths), BATCH)])
    running = [_score.remote(common, batch) for batch in islice(batches, 3 * cpus())]
    with tqdm(total=len(paths), desc="predict", unit="image", mininterval=1) as progress:
        while running:
            rows: pa.RecordBatch = ray.get(running.pop(0))
            running += [_score.remote(common, batch) for batch in islice(batches, 1)]
            progress.update(len(rows))
            yield rows


@ray.remote(max_retries=3)
def _score(common: tuple[Source, Bundle, int], paths: list[str]) -> pa.RecordBatch:
    cv2.setNumThreads(1)  # the worker has one core; OpenCV would start a thread for every core of the machine
    source, bundle, version = common
    return pa.RecordBatch.from_pylist([_row(source, bundle, version, path) for path in paths], schema=SCHEMA)


def _row(source: Source, bundle: Bundle, version: int, path: str) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(SCHEMA.names)
    row |= {"path": _text(path), "model_version": version}
    try:
        answer = bundle.score(source.read(path))
    except (EntryError, ImageError) as error:
        return row | {"error": _text(str(error))}
    warning = " ".join(doubt.detail for doubt in answer.examined.doubts) or None
    return row | {"probability": answer.probability, "label": answer.label, "warning": warning}


def _text(text: str) -> str:
    """Text as Parquet takes it: the bytes of a file name that is no UTF-8 are written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def main() -> None:
    """The job."""
    run_job(_job, module="ray_jobs.predict", description="Score X-rays with a registered model.", arguments=_arguments)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.parquet", help="where the answers go")
    parser.add_argument("--version", type=positive, help="a version by its number (default: what is in Production)")


def _job(settings: Settings, options: argparse.Namespace) -> None:
    version = version_of(settings, options.version) if options.version else production(settings)
    if version is None:
        raise LookupError(f"No version of {settings.model_name} is in Production; train one with ray_jobs.train.")
    source = open_source(settings.data_uri)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = fetch(settings, version, Path(scratch) / "bundle")
        batches = predict(source, bundle, version.version, ray_address=settings.ray_address)
        publish(batches, SCHEMA, filesystem=LocalFileSystem(), path=str(options.out.resolve()))
    print(f"{version} scored {source.uri}: {options.out}")


if __name__ == "__main__":
    main()
