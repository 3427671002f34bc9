"""Copy a dataset into a bucket: `python -m ray_jobs.upload --data FOLDER --to s3://BUCKET`."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ray_jobs.dataset.entry import Entry, Source
from ray_jobs.dataset.errors import EntryError
from ray_jobs.dataset.s3_source import S3Source
from ray_jobs.dataset.sources import open_source
from ray_jobs.runtime.cli import run_job
from ray_jobs.runtime.progress import Progress, write_line
from registry.process.reach import reach_s3
from registry.settings import Settings

_THREADS = 8
_WAITING = 4 * _THREADS


def main() -> None:
    """The job; it needs no Ray."""
    run_job(
        _job,
        module="ray_jobs.upload",
        description="Copy a dataset into a bucket. Objects that are there with the same size are not sent again, so "
        "an interrupted upload continues where it stopped.",
        uses=(),
        arguments=_arguments,
    )


def upload(source: Source, target: S3Source) -> tuple[int, int, list[str]]:
    """Copy what `target` lacks; gives how many were sent, how many were there, and a line for each unreadable one.

    Raises
    ------
    SourceError
        If either side as a whole cannot be used: it is missing, denied or unreachable.
    """
    there = {entry.path: entry.size for entry in target.entries()}
    entries = sorted(source.entries(), key=lambda entry: entry.path)
    lacking = [entry for entry in entries if entry.size < 0 or there.get(entry.path) != entry.size]
    sent, unreadable = 0, []

    def send(entry: Entry) -> bool | str:
        if (name := entry.path.encode("utf-8", "backslashreplace").decode()) != entry.path:
            return f"{name} cannot be an object's key: the file name is not UTF-8; rename the file"
        try:
            content = source.read(entry.path)
        except EntryError as error:
            return str(error)
        if there.get(entry.path) == len(content):  # a source that only tells sizes by reading
            return False
        target.write(entry.path, content)
        return True

    with Progress("uploading", unit="file", total=len(lacking)) as progress:
        for outcome in _each(lacking, send):
            progress.update()
            sent += outcome is True
            unreadable += [outcome] if isinstance(outcome, str) else []
    return sent, len(entries) - sent - len(unreadable), unreadable


def _each(entries: Iterable[Entry], work: Callable[[Entry], bool | str]) -> Iterator[bool | str]:
    """Work in threads, with so few entries in hand that memory stays small and an error ends it soon."""
    with ThreadPoolExecutor(_THREADS) as pool:
        running: set[Future[bool | str]] = set()
        try:
            for entry in entries:
                running.add(pool.submit(work, entry))
                if len(running) >= _WAITING:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in running:
                future.cancel()


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="URI", required=True, help="s3://bucket or s3://bucket/prefix")


def _job(settings: Settings, options: argparse.Namespace) -> None:
    target = S3Source.from_uri(options.to, variable="--to")
    reach_s3(target.uri, variable="--to")
    sent, there, unreadable = upload(open_source(settings.data_uri), target)
    for line in unreadable:
        write_line(line)
    left_out = f", {len(unreadable)} could not be read" if unreadable else ""
    print(f"{target.uri}: {sent} sent, {there} there already{left_out}.")


if __name__ == "__main__":
    main()
