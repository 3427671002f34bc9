"""Who changed Production, when and why: `python -m ray_jobs.history`; `--verify` checks it, `--repair` repairs it."""

import argparse

from ray_jobs.runtime.cli import run_job
from registry.addresses import shown
from registry.errors import HistoryError
from registry.production.current import explain_problems
from registry.production.guard import moved
from registry.production.history import History
from registry.production.journal import Journal
from registry.settings import Settings


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.history",
        description="Print every change of Production.",
        data=False,
        uses=("tracking", "state"),
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--verify", action="store_true", help="compare every record in MLflow, STATE_URI and the chain")
    what.add_argument(
        "--repair", action="store_true", help="write again what one of the two places still has, and put the alias back"
    )


def _job(settings: Settings, options: argparse.Namespace) -> None:
    journal = Journal(settings)
    if options.repair:
        change = journal.repair()
        journal.point()
        print(f"repaired: {change.why}" if change else "nothing was missing or altered")
    found = journal.store.read(thorough=True)
    print("\n".join(str(change) for change in found.changes) or f"{settings.model_name} was never in Production.")
    if found.problems:
        raise HistoryError(explain_problems(settings, found))
    if options.verify:
        _verify(settings, found)


def _verify(settings: Settings, found: History) -> None:
    if found.old:
        print("These records are from before there was a chain, and nothing protects them until the next change.")
    if found.lagging:
        numbers = ", ".join(map(str, found.lagging))
        print(
            f"{shown(settings.state_uri)} lacks {numbers}, recorded with another STATE_URI; the next change copies it."
        )
    if difference := moved(settings, found):
        raise HistoryError(f"{difference}; python -m ray_jobs.history --repair puts it back")
    if found.records and not found.old:
        print(f"{len(found.records)} records are whole and the same in MLflow and in STATE_URI; the alias obeys them.")


if __name__ == "__main__":
    main()
