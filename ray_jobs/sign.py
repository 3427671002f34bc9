"""Sign a version that was registered without a key: `SIGNING_KEY=FILE python -m ray_jobs.sign VERSION`."""

import argparse
import tempfile
from pathlib import Path

from ray_jobs.runtime.cli import positive, run_job
from registry.errors import UsageError
from registry.model.signing import SIGNATURE_TAG, sign
from registry.model.versions import fetch, set_tags, version_of
from registry.settings import Settings


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.sign",
        description="Sign a version by the private key that SIGNING_KEY names, once its files were verified.",
        data=False,
        uses=["tracking"],
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", type=positive, help="its number")


def _job(settings: Settings, options: argparse.Namespace) -> None:
    version = version_of(settings, options.version)
    with tempfile.TemporaryDirectory() as scratch:
        fetch(settings.model_copy(update={"trusted_key": None}), version, Path(scratch) / "bundle")
    signature = sign(settings, name=version.name, run_id=version.run_id, digest=version.digest)
    if signature is None:
        raise UsageError("SIGNING_KEY is not set, so nothing can be signed; set it to the file with the private key")
    set_tags(settings, version, {SIGNATURE_TAG: signature})
    print(f"{version} is signed: digest {version.digest}, run {version.run_id}")


if __name__ == "__main__":
    main()
