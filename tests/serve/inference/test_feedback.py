"""What serving remembers, and people's words on it, over HTTP."""

import csv
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from features.look import look
from registry.records.feedback import read_feedback
from registry.records.prediction_ids import PredictionIds
from registry.records.predictions import Bounds, Record, files, matrix, path_of, read, write
from registry.settings import Settings
from registry.state import State, open_state
from serve.api import create_app
from serve.http.keys import Keys, read_keys
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics
from serve.production.model import Holder, Served
from tests.serve.support.models import GeneratedXrays
from tests.serve.support.waiting import until
from tests.tolerances import ANSWER

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return open_state(str(tmp_path / "memory"))


@pytest.fixture
def client(holder: Holder, settings: Settings, state: State) -> Iterator[TestClient]:
    with with_memory(holder, settings, state) as client:
        yield client


def with_memory(
    holder: Holder, settings: Settings, state: State, *, keys: Keys | None = None, flush_s: float = 0.05
) -> TestClient:
    metrics = Metrics()
    recorder = PredictionRecorder(lambda: state, metrics, flush_s=flush_s)
    return TestClient(create_app(holder, settings=settings, metrics=metrics, recorder=recorder, keys=keys))


def predict(client: TestClient, image: bytes, request_id: str = "req-1") -> dict:
    answer = client.post("/predict", files=[("file", ("Jane.jpeg", image))], headers={"X-Request-ID": request_id})
    assert answer.status_code == 200
    return answer.json()


def counted(metrics_text: str, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics_text)
        for sample in family.samples
        if sample.name == name
    }


def test_each_answer_is_recorded_with_the_features_it_was_computed_from_and_nothing_that_names_a_person(
    client: TestClient, state: State, model: Served, training_set: GeneratedXrays
) -> None:
    files_sent = [("file", ("Jane.jpeg", image)) for image in training_set.images[:2]]
    files_sent.insert(1, ("file", ("Jane.txt", b"no picture")))
    results = client.post("/predict", files=files_sent, headers={"X-Request-ID": "abc"}).json()["results"]
    client.post("/", files=files_sent[:1])
    assert {results[0]["request_id"], results[2]["request_id"]} == {"abc"}
    until(lambda: sum(len(table) for _, table in read(state, since=LONG_AGO)) == 3)
    ((spec, table),) = read(state, since=LONG_AGO)
    assert spec == model.version.spec_fingerprint
    rows = table.drop_columns("features").to_pylist()
    assert [rows[0]["id"], rows[1]["id"]] == [results[0]["id"], results[2]["id"]]
    assert rows[0].keys() == {"id", "time", "version", "probability", "label", "sha256", "aspect", "digest"}
    pixels = cv2.imdecode(np.frombuffer(training_set.images[0], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert rows[0]["aspect"] == look(pixels).aspect
    assert rows[1]["probability"] == results[2]["probability"]
    assert model.bundle.probability(matrix(table)) == pytest.approx(table.column("probability").to_numpy(), abs=ANSWER)
    assert b"Jane" not in Path(files(state)[0].path).read_bytes()


def test_a_person_confirms_corrects_and_corrects_again_and_the_last_word_counts(
    client: TestClient, training_set: GeneratedXrays
) -> None:
    prediction = predict(client, training_set.images[1])
    assert prediction["label"] == "PNEUMONIA"
    address = f"/predictions/{prediction['id']}/feedback"
    first = client.post(address, json={"label": "PNEUMONIA"})
    assert first.status_code == 200
    assert (first.json()["confirmed"], first.json()["version"]) == (True, 7)
    assert client.post(address, json={"label": "PNEUMONIA"}).json() == first.json()
    second = client.post(address, json={"label": "NORMAL"}).json()
    assert (second["confirmed"], second["predicted"], second["label"]) == (False, "PNEUMONIA", "NORMAL")
    (version,) = client.get("/feedback").json()["versions"]
    assert version == {"version": 7, "confirmed": 0, "corrected": 1, "missed_pneumonia": 0, "false_alarms": 1}
    assert counted(client.get("/metrics").text, "hm_feedback_total") == {("7", "confirmed"): 1, ("7", "corrected"): 1}
    export = client.get("/feedback.csv")
    assert export.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(export.text))
    assert row["prediction_id"] == prediction["id"]
    assert (row["version"], row["predicted"], row["label"]) == ("7", "PNEUMONIA", "NORMAL")
    assert float(row["probability"]) == prediction["probability"]
    assert row["sha256"] == hashlib.sha256(training_set.images[1]).hexdigest()
    assert row["said_by"] == ""


def test_a_key_tells_who_said_it(
    holder: Holder, settings: Settings, state: State, training_set: GeneratedXrays
) -> None:
    keys = read_keys(settings.model_copy(update={"api_keys": SecretStr("ana:0123456789abcdef,rui:fedcba9876543210")}))
    with with_memory(holder, settings, state, keys=keys) as client:
        client.headers["X-API-Key"] = "0123456789abcdef"
        prediction = predict(client, training_set.images[0])
        address = f"/predictions/{prediction['id']}/feedback"
        assert client.post(address, json={"label": "NORMAL"}).json()["said_by"] == "ana"
        client.headers["X-API-Key"] = "fedcba9876543210"
        client.post(address, json={"label": "PNEUMONIA"})
        (row,) = csv.DictReader(io.StringIO(client.get("/feedback.csv").text))
    assert (row["said_by"], row["label"]) == ("rui", "PNEUMONIA")
    (word,) = read_feedback(state)
    assert (word.said_by, word.sha256) == ("rui", hashlib.sha256(training_set.images[0]).hexdigest())


def test_a_word_reaches_a_prediction_that_another_replica_made(
    client: TestClient, holder: Holder, settings: Settings, state: State, training_set: GeneratedXrays
) -> None:
    prediction = predict(client, training_set.images[0])
    with with_memory(holder, settings, state) as other:

        def word() -> int:
            return other.post(f"/predictions/{prediction['id']}/feedback", json={"label": "NORMAL"}).status_code

        until(lambda: word() == 200)
        assert other.get("/feedback").json() == client.get("/feedback").json()


def test_two_predictions_of_one_request_id_are_two_and_a_word_on_one_leaves_the_other(
    client: TestClient, training_set: GeneratedXrays
) -> None:
    first, second = (predict(client, image, "same") for image in training_set.images[:2])
    assert first["request_id"] == second["request_id"] == "same"
    assert first["id"] < second["id"]
    for prediction, label in ((first, "NORMAL"), (second, "PNEUMONIA")):
        receipt = client.post(f"/predictions/{prediction['id']}/feedback", json={"label": label})
        assert (receipt.status_code, receipt.json()["predicted"]) == (200, prediction["label"])
    rows = list(csv.DictReader(io.StringIO(client.get("/feedback.csv").text)))
    assert [(row["prediction_id"], row["label"]) for row in rows] == [
        (first["id"], "NORMAL"),
        (second["id"], "PNEUMONIA"),
    ]


def test_a_prediction_of_an_older_version_still_takes_a_word(client: TestClient, state: State) -> None:
    old = replace(record(1), id="mine-1.0", time=datetime.now(UTC) - timedelta(days=2))
    write(state, path_of(state, old.time, "host-7"), [old])
    receipt = client.post("/predictions/mine-1.0/feedback", json={"label": "PNEUMONIA"})
    assert (receipt.status_code, receipt.json()["predicted"]) == (200, "NORMAL")


def test_a_word_that_reaches_another_replica_at_once_waits_for_the_record(
    holder: Holder, settings: Settings, state: State, training_set: GeneratedXrays
) -> None:
    with (
        with_memory(holder, settings, state, flush_s=2) as one,
        with_memory(holder, settings, state, flush_s=2) as other,
    ):
        prediction = predict(one, training_set.images[0])
        receipt = other.post(f"/predictions/{prediction['id']}/feedback", json={"label": "NORMAL"})
        assert (receipt.status_code, receipt.json()["predicted"]) == (200, prediction["label"])
        never_made = PredictionIds().new()
        assert other.post(f"/predictions/{never_made}/feedback", json={"label": "NORMAL"}).status_code == 404


def test_words_that_wait_for_a_record_take_few_places_from_predictions(
    holder: Holder, settings: Settings, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.inference.feedback._WAITING", 0)
    with with_memory(holder, settings, state, flush_s=3600) as client:
        answer = client.post(f"/predictions/{PredictionIds().new()}/feedback", json={"label": "NORMAL"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-prediction")
    assert int(answer.headers["retry-after"]) > 0


def test_words_on_nothing_or_with_nothing_to_say_are_problems(client: TestClient) -> None:
    unknown = client.post("/predictions/nobody.0/feedback", json={"label": "NORMAL"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-prediction")
    assert int(unknown.headers["retry-after"]) > 0
    for address, body in (
        ("nobody.0", {"label": "MAYBE"}),
        ("nobody.0", {}),
        ("nobody.0", {"label": "NORMAL", "name": "Jane"}),
        ("nobody", {"label": "NORMAL"}),
        ("a b.0", {"label": "NORMAL"}),
    ):
        answer = client.post(f"/predictions/{address}/feedback", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert client.get("/feedback").json() == {"versions": []}


def test_where_nothing_is_recorded_the_routes_say_so(holder: Holder, settings: Settings) -> None:
    client = TestClient(create_app(holder, settings=settings))
    answers = [client.post("/predictions/a.0/feedback", json={"label": "NORMAL"})]
    answers += [client.get("/feedback"), client.get("/feedback.csv")]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (404, "not-recorded")


IDS = PredictionIds()


def record(number: int, *, spec: str = "s") -> Record:
    return Record(
        id=IDS.new(),
        time=datetime.now(UTC),
        version=1,
        probability=0.5,
        label="NORMAL",
        spec=spec,
        features=np.full(3, number, dtype=np.float32),
    )


def test_predictions_are_answered_while_the_store_is_away_and_recorded_once_it_is_back(
    holder: Holder, settings: Settings, state: State, training_set: GeneratedXrays
) -> None:
    away = threading.Event()
    away.set()

    def opened() -> State:
        if away.is_set():
            raise OSError("away")
        return state

    metrics = Metrics()
    recorder = PredictionRecorder(opened, metrics, flush_s=0.05)
    with TestClient(create_app(holder, settings=settings, metrics=metrics, recorder=recorder)) as client:
        prediction = predict(client, training_set.images[0])
        answer = client.post(f"/predictions/{prediction['id']}/feedback", json={"label": "NORMAL"})
        assert (answer.status_code, answer.json()["code"]) == (503, "store-away")
        away.clear()
        until(lambda: files(state))
        until(lambda: counted(client.get("/metrics").text, "hm_records_total") == {("written",): 1})


def test_what_finds_the_queue_full_is_counted_and_nobody_waits(state: State) -> None:
    metrics = Metrics()
    recorder = PredictionRecorder(lambda: state, metrics, waiting=3)
    for number in range(5):
        recorder.offer(record(number))
    assert counted(metrics.render().decode(), "hm_records_total") == {("lost",): 2}
    recorder.start()
    recorder.stop()
    assert counted(metrics.render().decode(), "hm_records_total") == {("lost",): 2, ("written",): 3}


def test_a_file_holds_at_most_512_records_of_one_spec_and_stopping_writes_the_rest(state: State) -> None:
    recorder = PredictionRecorder(lambda: state, Metrics(), waiting=2_000)
    for number in range(600):
        recorder.offer(record(number))
    recorder.offer(record(600, spec="t"))
    recorder.start()
    recorder.stop()
    tables = list(read(state, since=LONG_AGO))
    assert [(spec, len(table)) for spec, table in tables] == [("s", 512), ("s", 88), ("t", 1)]
    assert [int(row[0]) for _, table in tables for row in matrix(table)] == list(range(601))


def test_old_files_are_removed_while_it_runs(state: State) -> None:
    recorder = PredictionRecorder(lambda: state, Metrics(), bounds=Bounds(size=0), flush_s=0.05)
    first = record(1)
    recorder.offer(first)
    recorder.start()
    until(lambda: recorder.find(first.id) and files(state) == [])
    recorder.stop()


class Busy(State):
    """A store in which another prediction arrives during each write, as under steady traffic."""

    def __init__(self, state: State, arrives: Callable[[], None]) -> None:
        super().__init__(filesystem=state.filesystem, base=state.base)
        object.__setattr__(self, "arrives", arrives)

    def write(self, path: str, content: bytes) -> None:
        super().write(path, content)
        self.arrives()


def test_under_steady_traffic_each_turn_writes_once_pruning_runs_and_stopping_ends(state: State) -> None:
    writes: list[int] = []

    def arrive() -> None:
        writes.append(len(writes))
        if len(writes) < 500:  # a recorder that never rests ends here, far beyond the turns that this test waits for
            recorder.offer(record(len(writes)))

    busy = Busy(state, arrive)
    recorder = PredictionRecorder(lambda: busy, Metrics(), bounds=Bounds(size=0), flush_s=0.05)
    recorder.offer(record(0))
    recorder.start()
    until(lambda: len(writes) >= 3)
    recorder.stop()
    assert len(writes) < 500
    assert files(state) != []  # written by the last turn, after pruning
    assert len(files(state)) == 1


def test_a_turn_writes_what_was_there_when_it_began_and_no_more_files_than_that_takes(state: State) -> None:
    writes: list[int] = []

    def arrive() -> None:
        writes.append(len(writes))
        for number in range(100):
            recorder.offer(record(number))

    busy = Busy(state, arrive)
    recorder = PredictionRecorder(lambda: busy, Metrics(), waiting=5_000)
    for number in range(1_000):
        recorder.offer(record(number))
    recorder.start()
    recorder.stop()  # one turn: two files, 512 records and 488
    assert len(writes) == 2
    assert sum(len(table) for _, table in read(state, since=LONG_AGO)) == 1_000
