"""How the history of Production is written: one writer at a time, whoever it is.

The claim of a record is the change. Whoever finds a claim finishes it, because the one who made it may be dead: the
record goes into STATE_URI and the tags, the alias follows, and the claim is deleted. A claim made by somebody who read
the history too long ago is known by the tag of its number, which is there already.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from registry.addresses import shown
from registry.errors import HistoryError
from registry.model.versions import ALIAS, aliased, client
from registry.process.identity import whoever
from registry.production.current import explain_problems
from registry.production.history import BEGINNING, LONGEST, Change, History, Kind, Rollout, WrittenChange
from registry.production.record_store import GONE, RecordStore
from registry.production.takeover import chained
from registry.settings import Settings

log = logging.getLogger(__name__)

ROLLOUT_TAG = "rollout"


class Journal:
    """Writes the history of one registered model; `store` reads it."""

    def __init__(self, settings: Settings) -> None:
        self.store = RecordStore(settings)
        self._settings = settings

    @property
    def _client(self) -> MlflowClient:
        return client(self._settings)

    def append(self, draft: Callable[[History], Change | None]) -> Change | None:
        """Record the change that `draft` makes of the history, and let the alias follow; None if it makes none.

        `draft` is asked again if somebody else changes Production meanwhile. It sets what, who, why, from and to.

        Raises
        ------
        HistoryError
            If the history is damaged, or newer than MLflow.
        """
        while True:
            history = self._settled()
            change = draft(history)
            if change is None:
                self.point()
                return None
            record = WrittenChange.of(self._next(history, change))
            if self.store.claim(record) and self._finish(record):
                return record.change

    def repair(self) -> Change | None:
        """Write each record to the place that lacks it, as far as one of the places has it; None if nothing is wrong.

        Raises
        ------
        HistoryError
            Naming the record that neither place has.
        """
        history = self.store.read(thorough=True)
        if not history.sound:
            problems = explain_problems(self._settings, history)
            raise HistoryError(f"{problems} Nothing that is left says what stood there")
        if not history.problems:
            return None
        with contextlib.suppress(MlflowException):
            self._client.create_registered_model(self._settings.model_name)
        for record in history.records:
            self.store.write_copy(record, over=True)
            self.store.write_tag(record)
        head = history.records[-1].change
        damage = "; ".join(str(problem) for problem in history.problems)
        # Somebody may have promoted another version meanwhile.
        return self.append(lambda now: self.note("repair", f"{damage}; it was written again", to=now.head or head))

    def note(self, kind: Kind, why: str, *, to: Change) -> Change:
        """A record that changes nothing."""
        return Change(
            number=0,
            when="",
            who=whoever(self._settings),
            from_version=to.to_version,
            to_version=to.to_version,
            digest=to.digest,
            why=why,
            kind=kind,
        )

    def point(self) -> None:
        """Let the alias and the legacy stage follow the history."""
        head = self.store.read().head
        while head is not None:
            try:
                self._point(head.to_version)
            except MlflowException as error:
                if error.error_code not in GONE:
                    raise
                log.warning("Version %s of %s is not in MLflow.", head.to_version, self._settings.model_name)
                return
            pointed, head = head, self.store.read().head
            if head and head.id == pointed.id:
                return

    def _settled(self) -> History:
        """The history with every change finished that somebody began, old records taken over, and no copy lacking."""
        for claimed in self.store.claims():
            self._finish(claimed)
        history = self.store.read()
        if history.problems:
            raise HistoryError(explain_problems(self._settings, history))
        if history.old:
            for record in chained(history.records):
                self.store.write_tag(record)
            history = self.store.read()
        self._mirror(history)
        if history.head and any(not change.id for change in history.changes) and not _noted(history):
            self._take_over(history)
            history = self.store.read()
        return history

    def _take_over(self, history: History) -> None:
        """End the time of records without a chain by one that says so; there the alias said what is in Production."""
        alias, last = aliased(self._settings), history.changes[-1]
        to = replace(last, to_version=alias.version, digest=alias.digest) if alias else last
        why = f"{len(history.records)} records that no digest protected until now were taken over"
        if to.to_version != last.to_version:
            why += f"; the last of them says version {last.to_version}, the alias is on version {to.to_version}"
        record = WrittenChange.of(self._next(history, self.note("takeover", why, to=to)))
        if self.store.claim(record):
            self._finish(record)

    def _mirror(self, history: History) -> None:
        """Copy what was recorded with another STATE_URI into this one."""
        if not history.head or history.head.state == self.store.home:
            return
        copied = [record for record in history.records if self.store.write_copy(record)]
        if copied and history.head.state:
            log.warning(
                "The last change of Production was recorded with STATE_URI %r, and this one is %r. Both keep the whole "
                "history; %d records were copied here. Give all jobs and servers of one registry the same STATE_URI.",
                history.head.state,
                self.store.home,
                len(copied),
            )

    def _next(self, history: History, change: Change) -> Change:
        """A draft with its place in the chain."""
        last = history.records[-1] if history.records else None
        return replace(
            change,
            number=len(history.records) + 1,
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            history=last.change.history if last else uuid4().hex[:12],
            id=uuid4().hex[:12],
            registry=shown(self._settings.tracking_uri),
            state=self.store.home,
            previous=last.digest if last else BEGINNING,
        )

    def _finish(self, record: WrittenChange) -> bool:
        """Do what a claim says; False if its number was taken long before, so that it never counted.

        The tags are read after the claim: if they lack its number, no other claim of it can have been made.
        """
        change = record.change
        known = self.store.tags().get(change.number)
        counts = known is None or known.text == record.text
        if counts:
            self.store.write_copy(record)
            if known is None:
                self.store.write_tag(record)
            self.point()
            self._tag_candidate(change)
        self.store.release(record)
        return counts

    def _tag_candidate(self, change: Change) -> None:
        """Let MLflow's page say on the candidate's version how its rollout stands."""
        if change.rollout:
            version, status = change.rollout.version, str(change.rollout)
        elif change.ends and (began := self._began(change.ends)):
            version = began.version
            how = "promoted" if change.to_version == version and change.kind == "promotion" else change.kind
            status = f"{how} at {change.when} by {change.who}: {change.why}"
        else:
            return
        try:
            self._client.set_model_version_tag(self._settings.model_name, str(version), ROLLOUT_TAG, status[:LONGEST])
        except MlflowException as error:
            if error.error_code not in GONE:
                raise

    def _began(self, number: int) -> Rollout | None:
        found = self.store.tags().get(number)
        return found.change.rollout if found and found.readable else None

    def _point(self, version: int | None) -> None:
        settings, mlflow_client = self._settings, self._client
        now = aliased(settings)
        if version is None:
            if now is not None:
                mlflow_client.delete_registered_model_alias(settings.model_name, ALIAS)
            self._unstage()
            return
        if now is None or now.version != version:
            mlflow_client.set_registered_model_alias(settings.model_name, ALIAS, str(version))
        with warnings.catch_warnings():
            # Stages are deprecated; this one is kept for people who look for it where older guides say.
            warnings.simplefilter("ignore", FutureWarning)
            if mlflow_client.get_model_version(settings.model_name, str(version)).current_stage != "Production":
                mlflow_client.transition_model_version_stage(
                    settings.model_name, str(version), "Production", archive_existing_versions=True
                )

    def _unstage(self) -> None:
        """Take the legacy stage from whatever has it."""
        for entry in self._client.search_model_versions(f"name='{self._settings.model_name}'"):
            if entry.current_stage == "Production":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", FutureWarning)
                    self._client.transition_model_version_stage(entry.name, entry.version, "None")


def _noted(history: History) -> bool:
    return any(change.kind == "takeover" for change in history.changes)
