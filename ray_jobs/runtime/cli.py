"""What the jobs share at the command line: the settings that arguments override, and errors that people can read."""

import argparse
import logging
import sys
from collections.abc import Callable

from ray_jobs.runtime.cluster import cause_of
from registry.errors import FixableError
from registry.settings import Settings, load_settings


def run_job(
    work: Callable[[Settings, argparse.Namespace], None],
    *,
    module: str,
    description: str,
    data: bool = True,
    arguments: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Parse arguments, load settings, work; an error that a person can fix becomes one message and exit code 1."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    if data:
        parser.add_argument(
            "--data",
            metavar="URI",
            help="a folder, s3://bucket/prefix, kaggle:owner/name or synthetic:COUNT; overrides DATA_URI",
        )
    if arguments:
        arguments(parser)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for library in ("alembic", "mlflow"):
        logging.getLogger(library).setLevel(logging.WARNING)  # their notes on new tables are not this job's news
    try:
        work(load_settings(data_uri=getattr(options, "data", None)), options)
    except KeyboardInterrupt:
        sys.exit(f"{module} interrupted; run it again to continue where it stopped.")
    except Exception as error:
        if not isinstance(error, (FixableError, OSError)) and not _is_of_mlflow(error):
            raise
        print(f"{module} stopped: {cause_of(error)}", file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, FixableError) else 1)


def _is_of_mlflow(error: Exception) -> bool:
    """Whether MLflow raised an error; without importing MLflow, which takes seconds and not every job does."""
    mlflow = sys.modules.get("mlflow.exceptions")
    return mlflow is not None and isinstance(error, mlflow.MlflowException)


def positive(text: str) -> int:
    """An argument that is a whole number from 1 up."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def seed(text: str) -> int:
    """An argument that NumPy and scikit-learn both take for a seed."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {2**32 - 1}")
    return value
