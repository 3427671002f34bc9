"""Approve a version that waits: `python -m ray_jobs.promote VERSION`; with `--why TEXT`, whatever the gate said.

With `--shadow 24h` or `--canary 10%`, the version is compared with Production on live requests before that.
"""

import argparse
import re
import tempfile
from datetime import timedelta
from pathlib import Path

from ray_jobs.runtime.cli import positive, reason, run_job
from ray_jobs.tracking.judge import kept_back
from ray_jobs.tracking.lineage import OF_GENERATED
from ray_jobs.tracking.rollout_watch import counts_of, roll_out, stop_rollout
from ray_jobs.tracking.traffic import bring_into_traffic
from registry.errors import PromotionError, UsageError
from registry.model.versions import ModelVersion, fetch, version_of
from registry.production.approval import promote_by_hand
from registry.production.rollout import log_counts, running_rollout
from registry.settings import Settings

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = timedelta(days=90)
_CANARY_LASTS = timedelta(days=1)


def main() -> None:
    """The job."""
    run_job(_job, module="ray_jobs.promote", description="Make a version Production.", data=False, arguments=_arguments)


def duration(text: str) -> timedelta:
    """How long: a number and s, m, h or d, up to 90 days.

    >>> duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    found = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    lasts = timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found else timedelta()
    if not timedelta() < lasts <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no time from 1s to 90d; examples are 30m, 24h and 7d")
    return lasts


def share(text: str) -> float:
    """A share of the requests: from 0.1% to 50%.

    >>> share("10%")
    0.1
    """
    found = re.fullmatch(r"(\d{1,2}(?:\.\d{1,3})?)%", text.strip())
    value = float(found[1]) / 100 if found else 0.0
    if not 0.001 <= value <= 0.5:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0.1% to 50%; an example is 10%")
    return value


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", type=positive, help="the number of the version")
    parser.add_argument("--why", type=reason, help="the reason, which is recorded; a version that waits needs none")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--shadow", type=duration, metavar="TIME", help="ask it about a copy of the requests, unseen, for e.g. 24h"
    )
    how.add_argument(
        "--canary", type=share, metavar="SHARE", help="let it answer e.g. 10%% of the requests; taken back by its rule"
    )
    how.add_argument("--end", action="store_true", help="end its shadow or canary; needs --why")
    parser.add_argument(
        "--for", dest="lasts", type=duration, metavar="TIME", help="how long a canary lasts, 24h if not given"
    )


def _job(settings: Settings, options: argparse.Namespace) -> None:
    if options.lasts and not options.canary:
        raise UsageError("--for says how long a canary lasts; give it with --canary SHARE, or --shadow TIME alone")
    if options.end and not options.why:
        raise UsageError("--end needs --why TEXT, which is recorded")
    version = version_of(settings, options.version)
    if options.end:
        print(stop_rollout(settings, version, why=options.why))
        return
    if options.why is None and not options.shadow and (said := kept_back(settings, version)):
        raise PromotionError(f"{version} was {said}. With --why TEXT it goes on all the same, and that is recorded")
    with tempfile.TemporaryDirectory() as scratch:
        bundle = fetch(settings, version, Path(scratch) / "bundle")  # what serving would refuse is refused here
    if options.shadow or options.canary:
        lasts = options.shadow or options.lasts or _CANARY_LASTS
        print(roll_out(settings, version, share=options.canary or 0.0, lasts=lasts, why=options.why))
        return
    change = promote_by_hand(settings, version, why=options.why, metrics=_compared(settings, version))
    if change is None:
        print(f"{version} is in Production already.")
    else:
        before = f"version {change.from_version}" if change.from_version else "nothing"
        print(f"{version} is in Production, in place of {before}. Undo with python -m ray_jobs.rollback")
    if bundle.generated:
        print(OF_GENERATED.format(version))
    print(f"traffic: {bring_into_traffic(settings, version, bundle)}")


def _compared(settings: Settings, version: ModelVersion) -> dict[str, float]:
    """What the version's own shadow or canary has counted, if it has one."""
    running = running_rollout(settings)
    if running is None or running.rollout is None or running.rollout.version != version.version:
        return {}
    counts = counts_of(settings, running)
    log_counts(settings, version, counts)
    print("\n".join(counts.lines()))
    return counts.numbers()


if __name__ == "__main__":
    main()
