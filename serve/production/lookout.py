"""What serving has to follow: the recorded changes of Production, while the alias is watched for foreign hands."""

import logging
from dataclasses import dataclass
from typing import Literal

from mlflow.exceptions import MlflowException

from registry.errors import HistoryError
from registry.model.versions import ModelVersion, aliased
from registry.production.current import explain_problems, version_in
from registry.production.guard import moved, restore
from registry.production.history import Change, History
from registry.production.record_store import RecordStore
from registry.settings import Settings

log = logging.getLogger(__name__)

# Looks between two full ones while the alias stays where it is: the whole history is more than is to be read each time.
_BETWEEN = 4
# An alias is moved after its record was written, so a difference that one look finds may be a change under way.
_TWICE = 2

TroubleCode = Literal["alias-moved", "history-damaged", "history-newer"]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is wrong with alias or history, while a recorded version serves all the same."""

    code: TroubleCode
    detail: str


class Lookout:
    """Names the version that the history says is in Production; `trouble` is what somebody did outside of it.

    `withdrawn` is whether the history says that nothing is in Production any more, `rollout` the record of a
    candidate beside it.
    """

    def __init__(self, settings: Settings) -> None:
        self.trouble: Trouble | None = None
        self.withdrawn = False
        self.rollout: Change | None = None
        self._settings = settings
        self._store = RecordStore(settings)
        self._last: tuple[ModelVersion | None, ModelVersion | None] | None = None
        self._skips = 0
        self._differed = 0

    def wanted(self) -> ModelVersion | None:
        """The version to serve, None where there is none.

        Raises
        ------
        HistoryError
            If the history does not say, or its version is not in the registry; `trouble` has the reason then too.
        MlflowException, OSError
            If MLflow does not answer.
        """
        alias = aliased(self._settings)
        if self._last and self._last[0] == alias and self._skips > 0 and not (self._differed or self.rollout):
            self._skips -= 1
            return self._last[1]
        self._last = None
        history = self._store.read()
        self.trouble = self._damage(history)
        try:
            version = version_in(self._settings, history)
        except HistoryError as error:
            code: TroubleCode = "history-damaged" if not history.sound else "history-newer"
            self.trouble = self.trouble or Trouble(code=code, detail=str(error))
            raise
        self.withdrawn = history.head is not None and history.head.to_version is None
        self.rollout = history.rollout
        self._watch_alias(history)
        self._last, self._skips = (alias, version), _BETWEEN
        return version

    def _damage(self, history: History) -> Trouble | None:
        if not history.problems:
            return None
        code: TroubleCode = "history-newer" if history.older else "history-damaged"
        return Trouble(code=code, detail=explain_problems(self._settings, history))

    def _watch_alias(self, history: History) -> None:
        difference = moved(self._settings, history)
        self._differed = self._differed + 1 if difference else 0
        if self._differed < _TWICE or self.trouble:
            return
        if self._settings.alias_guard == "restore":
            difference += f"; {self._restored()}"
        self.trouble = Trouble(code="alias-moved", detail=difference)

    def _restored(self) -> str:
        try:
            restore(self._settings)
        except (HistoryError, MlflowException, OSError) as error:
            brief = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return f"it could not be put back: {brief[:300]}"
        return "it is put back"
