"""Where records of Production's history are kept: MLflow's tags, the state, and MLflow's names while one is written.

MLflow has no compare-and-set, but no two registered models have one name. So record N is claimed by making the model
`NAME.change.N` that holds it.
"""

import contextlib

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from registry.addresses import shown
from registry.errors import HistoryError
from registry.model.versions import client
from registry.production.history import History, WrittenChange, name_of, put_together
from registry.settings import Settings
from registry.state import State, open_state

TAG = "promotion."
GONE = {"RESOURCE_DOES_NOT_EXIST"}
_RECORD_TAG = "record"
_LOOKS = 20
_TAKEN = {"RESOURCE_ALREADY_EXISTS", *GONE}  # MLflow looks for the one that exists, which may be gone by then


class RecordStore:
    """Both places of the history of one registered model; raises MlflowException or OSError where one is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state: State | None = None

    def read(self, *, thorough: bool = False) -> History:
        """The history as it stands; `thorough` compares every record with the state's, else the newest one.

        Raises
        ------
        MlflowException, OSError
            If MLflow or the state does not answer.
        """
        if not thorough:
            tags = self.tags()
            newest = max(tags, default=0)
            state = self.copies(name_of(tags), newest=newest)
            if newest in state:  # the digests in the tags lead back from it, so that the older copies need not be read
                state = {**{number: tag for number, tag in tags.items() if number < newest}, **state}
            found = put_together(tags, state, state_uri=self.home)
            if not found.problems:
                return found
        # A change that is being made is in one place before the other, so look until nothing moves meanwhile.
        before = None
        for _ in range(_LOOKS):
            claims, tags = self.claims(), self.tags()
            claimed = next((claim for claim in claims if claim.change.number == max(tags, default=0) + 1), None)
            now = {**tags, **({claimed.change.number: claimed} if claimed else {})}
            if before is not None and before[0] == now:
                state = before[1]
                break
            state = self.copies(name_of(now), newest=0)
            if claimed:
                state = {claimed.change.number: claimed, **state}
            before = (now, state)
        return put_together(now, state, state_uri=self.home)

    @property
    def home(self) -> str:
        """STATE_URI as it stands in records."""
        return shown(self._settings.state_uri)

    def _opened(self) -> State:
        if self._state is None:
            self._state = open_state(self._settings.state_uri)
        return self._state

    def _folder(self, *parts: str) -> str:
        return self._opened().path("history", self._settings.model_name, *parts)

    def tags(self) -> dict[int, WrittenChange]:
        """The records in MLflow's tags, by number."""
        model = self._model(self._settings.model_name)
        tags = model.tags if model else {}
        found = {name.removeprefix(TAG): value for name, value in tags.items() if name.startswith(TAG)}
        return {int(number): WrittenChange(text) for number, text in found.items() if number.isdecimal()}

    def _model(self, name: str) -> RegisteredModel | None:
        try:
            return self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code in GONE:
                return None
            raise

    def copies(self, history: str, *, newest: int) -> dict[int, WrittenChange]:
        """The state's records of a history; with `newest`, that one and all after it.

        Where MLflow names no history, it is looked for by the address of MLflow: a database may have been emptied.
        """
        history = history or self._of_this_registry()
        if not history:
            return {}
        state = self._opened()
        if newest and not state.exists(self._folder(history, _file(newest + 1))):
            path = self._folder(history, _file(newest))
            return {newest: WrittenChange(state.read(path).decode(errors="replace"))} if state.exists(path) else {}
        names = [name for name in state.names(self._folder(history)) if name.removesuffix(".json").isdecimal()]
        return {
            int(name.removesuffix(".json")): WrittenChange(
                state.read(self._folder(history, name)).decode(errors="replace")
            )
            for name in names
        }

    def _of_this_registry(self) -> str:
        state, registry = self._opened(), shown(self._settings.tracking_uri)
        for name in state.names(self._folder()):
            first = self._folder(name, _file(1))
            if state.exists(first):
                record = WrittenChange(state.read(first).decode(errors="replace"))
                if record.readable and record.change.registry == registry:
                    return name
        return ""

    def claim(self, record: WrittenChange) -> bool:
        """Whether a record became the one of its number; if not, whoever was first is helped to the end."""
        name = self._claim_name(record.change.number)
        try:
            self._client.create_registered_model(
                name, tags={_RECORD_TAG: record.text}, description="A change of Production that is being made."
            )
        except MlflowException as error:
            if error.error_code not in _TAKEN:
                raise
            model = self._model(name)
            if model is None:
                return False
            text = model.tags.get(_RECORD_TAG, "")
            if not WrittenChange(text).readable:
                raise HistoryError(f"MLflow has a model named {name} that holds no change; delete it") from None
            # A request that got no answer is sent again by MLflow's client, and then finds its own claim.
            return bool(text == record.text)
        return True

    def claims(self) -> list[WrittenChange]:
        """The records that somebody claimed and has not released, oldest first."""
        prefix = f"{self._settings.model_name}.change."
        found = self._client.search_registered_models(f"name LIKE '{prefix}%'")
        records = [
            WrittenChange(model.tags[_RECORD_TAG])
            for model in found
            if model.name.startswith(prefix) and _RECORD_TAG in model.tags
        ]
        return sorted((record for record in records if record.readable), key=lambda record: record.change.number)

    def _claim_name(self, number: int) -> str:
        return f"{self._settings.model_name}.change.{number:06d}"

    def release(self, record: WrittenChange) -> None:
        """Delete the claim of a record's number."""
        with contextlib.suppress(MlflowException):  # gone already, or another account's, who deletes it
            self._client.delete_registered_model(self._claim_name(record.change.number))

    def write_copy(self, record: WrittenChange, *, over: bool = False) -> bool:
        """Write a record to the state; one that is there stays as it is unless `over`. Whether it was written."""
        state, path = self._opened(), self._folder(record.change.history, _file(record.change.number))
        if state.exists(path) and (not over or state.read(path) == record.text.encode()):
            return False
        state.write(path, record.text.encode())
        return True

    def write_tag(self, record: WrittenChange) -> None:
        """Write a record to MLflow's tags."""
        name = f"{TAG}{record.change.number:06d}"
        self._client.set_registered_model_tag(self._settings.model_name, name, record.text)

    @property
    def _client(self) -> MlflowClient:
        return client(self._settings)


def _file(number: int) -> str:
    return f"{number:06d}.json"
