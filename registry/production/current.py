"""Which version is in Production, as the history says it, and what to say where it does not."""

from registry.addresses import shown
from registry.errors import HistoryError, NoSuchVersionError
from registry.model.versions import ModelVersion, aliased, version_of
from registry.production.history import History
from registry.production.record_store import RecordStore
from registry.settings import Settings

_REPAIR = (
    "If a restore runs, wait until it has ended. Else python -m ray_jobs.history --verify shows it, and --repair "
    "writes again what one of the two still has. Only if that does not help, start over: delete the folder history in "
    "STATE_URI and the tags promotion.* of the model"
)


def production(settings: Settings) -> ModelVersion | None:
    """The version in Production, which the history says, or without one the alias; None where there is none.

    Raises
    ------
    HistoryError
        If the history is so damaged that it does not say.
    MlflowException, OSError
        If MLflow or the state does not answer.
    """
    return version_in(settings, RecordStore(settings).read())


def required_production(settings: Settings) -> ModelVersion:
    """The version that is in Production; raises NoSuchVersionError where there is none."""
    version = production(settings)
    if version is None:
        raise NoSuchVersionError(
            f"No version of {settings.model_name} is in Production; train one with ray_jobs.train."
        )
    return version


def version_in(settings: Settings, history: History) -> ModelVersion | None:
    """The version that a history says is in Production; without a chain that is what the alias names.

    Raises
    ------
    HistoryError
        If it does not say, or if that version is not in the registry.
    """
    if not history.sound:
        raise HistoryError(explain_problems(settings, history))
    if history.head is None:
        return aliased(settings)
    head = history.head
    if head.to_version is None:
        return None
    try:
        version = version_of(settings, head.to_version)
    except NoSuchVersionError:
        version = None
    if version is None or (head.digest and version.digest != head.digest):
        what = "is not in MLflow" if version is None else "has other files now"
        raise HistoryError(
            f"The history says that version {head.to_version} is in Production, which {what}: MLflow's database "
            "may have been restored from a backup. Promote a version that is there with python -m ray_jobs.promote"
        )
    return version


def explain_problems(settings: Settings, history: History) -> str:
    """What is wrong with a history, and the way out."""
    place = f"STATE_URI is {shown(settings.state_uri)!r}, MLflow is at {shown(settings.tracking_uri)!r}"
    if history.older:
        what = f"MLflow lacks the newest of {len(history.records)} records, so its database is older than the history"
    else:
        what = "The history of Production was changed from outside"
    return f"{what} ({place}): {'; '.join(str(problem) for problem in history.problems)}. {_REPAIR}"
