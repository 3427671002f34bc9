"""The alias obeys the history: whether somebody moved it outside, and the way it is put back."""

from datetime import UTC, datetime

from registry.model.versions import aliased, client
from registry.production.history import Change, History
from registry.production.journal import Journal
from registry.settings import Settings


def moved(settings: Settings, history: History) -> str:
    """In a sentence, how the alias differs from what the history says; empty where it does not, or nothing is said."""
    head, alias = history.head, aliased(settings)
    if head is None:
        return ""
    if (alias.version if alias else None) == head.to_version:
        return ""
    how = f"moved to version {alias.version}" if alias else "deleted"
    expected = f"version {head.to_version}" if head.to_version else "that nothing is in Production"
    return f"The alias production was {how} outside of the history, which says {expected}"


def restore(settings: Settings) -> Change | None:
    """Put the alias back where the history says, and record that it was elsewhere; None if it is in its place.

    MLflow does not tell who moved an alias, and of when only the last time that anything of the model was changed.

    Raises
    ------
    HistoryError
        If the history is damaged, or newer than MLflow.
    MlflowException
        If MLflow does not answer, or this account may not write.
    """
    journal = Journal(settings)

    def draft(now: History) -> Change | None:
        difference = moved(settings, now)
        if not difference or now.head is None:
            return None
        changed = client(settings).get_registered_model(settings.model_name).last_updated_timestamp
        when = datetime.fromtimestamp(changed / 1000, UTC).isoformat(timespec="seconds")
        why = f"{difference}; it was put back. MLflow does not say by whom; the model last changed at {when}"
        return journal.note("alias", why, to=now.head)

    return journal.append(draft)
