"""Shadow and canary in the history: how they begin, who may begin them, and every way in which they end."""

import getpass
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from registry.errors import HistoryError, PromotionError
from registry.model.versions import aliased, client, tags_of, version_of
from registry.production.approval import Passed, wait_for_approval
from registry.production.history import Change, WrittenChange
from registry.production.promotion import promote, rollback
from registry.production.record_store import RecordStore
from registry.production.rollout import begin_rollout, end_rollout, ending_of, running_rollout, takes
from registry.production.rollout_counts import RolloutCounts, one_picture, read_counts, write_counts
from registry.settings import Settings
from registry.state import State

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def template(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A registry of four versions, the second in Production after the first."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copy(empty_database, folder / "mlflow.db")
    settings = at(folder)
    client(settings).create_registered_model("pneumonia")
    for number in range(1, 5):
        client(settings).create_model_version(
            "pneumonia", source="s3://nowhere/model", tags={"digest": f"{number}" * 64}
        )
    promote(settings, version_of(settings, 1), why="the first")
    promote(settings, version_of(settings, 2), why="the second")
    return settings


def at(folder: Path) -> Settings:
    return Settings(
        mlflow_tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
        state_uri=str(folder / "state"),
        promoted_by="Ana Souza",
    )


@pytest.fixture
def by_ana(template: Settings, tmp_path: Path) -> Settings:
    """A copy of it that is this test's alone."""
    shutil.copytree(Path(template.state_uri).parent, tmp_path, dirs_exist_ok=True)
    return at(tmp_path)


def begin(settings: Settings, number: int, *, share: float = 0.0, lasts: timedelta = DAY, why: str | None = None):
    return begin_rollout(settings, version_of(settings, number), share=share, lasts=lasts, why=why)


def record(settings: Settings, number: int) -> dict:
    return json.loads(client(settings).get_registered_model("pneumonia").tags[f"promotion.{number:06d}"])


def test_a_rollout_is_begun_and_ended_on_record_and_production_stays(by_ana: Settings) -> None:
    shadow = begin(by_ana, 3)
    assert (shadow.kind, shadow.from_version, shadow.to_version, shadow.rollout.version) == ("shadow", 2, 2, 3)
    assert "2 with 3" in str(shadow)
    assert running_rollout(by_ana) == shadow
    assert tags_of(by_ana, version_of(by_ana, 3))["rollout"].startswith("shadow, until 20")
    counts = RolloutCounts(candidate=one_picture(label="NORMAL"))
    ended = end_rollout(by_ana, shadow, kind="ended", why="seen enough", counts=counts)
    assert ended
    assert (ended.kind, ended.ends, ended.who) == ("ended", shadow.number, "Ana Souza")
    assert ended.why.startswith("seen enough. production: no picture yet; candidate: 1 pictures")
    assert ended.metrics["rollout_candidate_pictures"] == 1
    assert tags_of(by_ana, version_of(by_ana, 3))["rollout"].startswith("ended at 20")
    assert running_rollout(by_ana) is None
    assert ending_of(by_ana, shadow) == ended
    assert end_rollout(by_ana, shadow, kind="ended", why="again", counts=None) is None
    assert aliased(by_ana).version == 2
    assert RecordStore(by_ana).read(thorough=True).problems == ()
    assert rollback(by_ana, why="as before").to_version == 1


def test_one_candidate_at_a_time_and_a_second_one_is_refused_by_the_name_of_the_first(by_ana: Settings) -> None:
    first = begin(by_ana, 3)
    with pytest.raises(PromotionError, match=r"version 3 is in shadow already, until .*by Ana Souza.*--end --why"):
        begin(by_ana, 4, share=0.1)
    assert begin(by_ana, 3) == first
    with pytest.raises(PromotionError, match="version 2 is in Production already"):
        begin(by_ana, 2)
    canary = begin(by_ana, 3, share=0.1, lasts=timedelta(seconds=-1))
    assert (canary.kind, canary.ends) == ("canary", first.number)
    assert ending_of(by_ana, first) == canary
    assert begin(by_ana, 4).ends == canary.number  # its time was over


@pytest.mark.parametrize(
    ("how", "told"), [("promoted", "promoted at"), ("overtaken", "promotion at"), ("rolled back", "rollback at")]
)
def test_a_change_of_production_ends_the_rollout_on_record(by_ana: Settings, how: str, told: str) -> None:
    canary = begin(by_ana, 3, share=0.1)
    change: Change | None
    if how == "rolled back":
        change = rollback(by_ana, why="worse")
    else:
        change = promote(by_ana, version_of(by_ana, 3 if how == "promoted" else 4), why="better")
    assert change
    assert change.ends == canary.number
    assert f"[ends the rollout of record {canary.number}]" in str(change)
    assert running_rollout(by_ana) is None
    assert tags_of(by_ana, version_of(by_ana, 3))["rollout"].startswith(told)


def test_a_canary_needs_the_word_that_a_promotion_needs_and_a_shadow_does_not(
    by_ana: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "app")
    for name in ("RAY_JOB_CONFIG_JSON_ENV_VAR", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    nobody = by_ana.model_copy(update={"promoted_by": None, "approval": "required"})
    with pytest.raises(PromotionError, match="needs a person's approval"):
        begin(nobody, 3, share=0.1, why="because")
    assert begin(nobody, 3).who.startswith("nobody by name")


def test_a_canary_of_what_was_compared_with_another_version_needs_a_reason(by_ana: Settings) -> None:
    wait_for_approval(by_ana, version_of(by_ana, 3), Passed(why="AUC +0.02", against=1))
    with pytest.raises(PromotionError, match=r"Production is 2, pneumonia version 3 was judged against 1.*--why TEXT"):
        begin(by_ana, 3, share=0.1)
    assert begin(by_ana, 3, share=0.1, why="all the same").why == "all the same"
    wait_for_approval(by_ana, version_of(by_ana, 3), Passed(why="AUC +0.02", against=2))
    assert begin(by_ana, 3, share=0.2).why == "passed: AUC +0.02"


def test_without_anything_in_production_there_is_nothing_to_compare_with(settings: Settings) -> None:
    client(settings).create_registered_model("pneumonia")
    client(settings).create_model_version("pneumonia", source="s3://nowhere/model")
    with pytest.raises(PromotionError, match="Nothing is in Production to compare pneumonia version 1 with"):
        begin(settings, 1)


def test_only_records_of_rollouts_have_their_fields_and_an_altered_share_is_noticed(by_ana: Settings) -> None:
    assert not {"rollout", "ends"} & record(by_ana, 2).keys()
    begin(by_ana, 3, share=0.1)
    fields = record(by_ana, 3)
    fields["rollout"]["share"] = 0.5
    client(by_ana).set_registered_model_tag("pneumonia", "promotion.000003", json.dumps(fields))
    with pytest.raises(HistoryError, match="record 3 was altered in MLflow"):
        promote(by_ana, version_of(by_ana, 4), why="too early")


def test_the_share_of_requests_is_the_one_asked_for_and_the_same_for_one_id_in_every_process(by_ana: Settings) -> None:
    canary = begin(by_ana, 3, share=0.1)
    taken = [takes(canary, f"request-{number}") for number in range(10_000)]
    assert 850 <= sum(taken) <= 1150  # 1,000 are expected, with a standard deviation of 30
    again = WrittenChange(json.dumps(record(by_ana, 3))).change
    assert [takes(again, f"request-{number}") for number in range(10_000)] == taken
    end_rollout(by_ana, canary, kind="ended", why="a test", counts=None)
    assert not any(takes(begin(by_ana, 3), f"request-{number}") for number in range(3))


def test_counts_of_several_writers_add_up_wherever_the_state_is(state: State) -> None:
    counts = RolloutCounts(production=one_picture(label="NORMAL", seconds=0.02), dropped=2)
    assert read_counts(state, "abc") == RolloutCounts()
    write_counts(state, "abc", "one", counts)
    write_counts(state, "abc", "two", counts + RolloutCounts(stopped="it broke"))
    assert read_counts(state, "abc") == counts + counts + RolloutCounts(stopped="it broke")
    assert read_counts(state, "abc", but="two") == counts
    state.write(state.path("rollouts", "abc", "three.json"), b"{")
    assert read_counts(state, "abc", but="two") == counts
