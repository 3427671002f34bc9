"""Versions that wait for a person's approval, on a real registry."""

import getpass

import pytest

from registry.errors import PromotionError
from registry.model.versions import ModelVersion, client, set_tags, tags_of, version_of
from registry.production.approval import APPROVAL_TAG, Passed, candidates, promote_by_hand, wait_for_approval
from registry.production.current import production
from registry.production.promotion import history, promote
from registry.settings import Settings


@pytest.fixture
def by_ana(settings: Settings) -> Settings:
    """A registry of three versions, the first in Production."""
    client(settings).create_registered_model("pneumonia")
    for _ in range(3):
        client(settings).create_model_version("pneumonia", source="s3://nowhere/model")
    promote(settings, version_of(settings, 1), why="the first")
    return settings.model_copy(update={"promoted_by": "Ana Souza", "approval": "required"})


def waiting(settings: Settings, number: int, *, against: int | None = 1) -> ModelVersion:
    version = version_of(settings, number)
    wait_for_approval(settings, version, Passed(why="AUC +0.02", against=against, metrics={"held_out_auc": 0.97}))
    return version


def test_what_waits_is_listed_with_why_it_passed_until_a_person_approves_it(by_ana: Settings) -> None:
    third, second = waiting(by_ana, 3), waiting(by_ana, 2)
    assert [(one.version, one.passed.why) for one in candidates(by_ana)] == [
        (second, "AUC +0.02"),
        (third, "AUC +0.02"),
    ]
    change = promote_by_hand(by_ana, second, why=None)
    assert change
    assert (change.who, change.why, change.metrics) == ("Ana Souza", "approved: AUC +0.02", {"held_out_auc": 0.97})
    assert production(by_ana) == second
    assert tags_of(by_ana, second)[APPROVAL_TAG] == "approved by Ana Souza"
    assert [one.version for one in candidates(by_ana)] == [third]


def test_an_approval_that_was_cut_short_is_finished_under_the_name_on_record(by_ana: Settings) -> None:
    version = waiting(by_ana, 2)
    promote(by_ana, version, why="approved: AUC +0.02")
    assert promote_by_hand(by_ana.model_copy(update={"promoted_by": "Rui"}), version, why=None) is None
    assert tags_of(by_ana, version)[APPROVAL_TAG] == "approved by Ana Souza"


@pytest.mark.parametrize("waits", [True, False], ids=["it waits", "it does not"])
def test_nobody_by_name_approves_nothing(by_ana: Settings, monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "app")
    for name in ("RAY_JOB_CONFIG_JSON_ENV_VAR", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    version = waiting(by_ana, 2) if waits else version_of(by_ana, 2)
    nobody = by_ana.model_copy(update={"promoted_by": None})
    with pytest.raises(PromotionError, match=r"needs a person's approval.*PROMOTED_BY='Ana Souza'"):
        promote_by_hand(nobody, version, why="because")
    assert len(history(by_ana)) == 1


def test_a_version_that_was_compared_with_what_is_gone_is_approved_only_with_a_reason(by_ana: Settings) -> None:
    second, third = waiting(by_ana, 2), waiting(by_ana, 3)
    promote_by_hand(by_ana, second, why=None)
    with pytest.raises(PromotionError, match=r"judged against 1.*with --why TEXT"):
        promote_by_hand(by_ana, third, why=None)
    assert production(by_ana) == second
    change = promote_by_hand(by_ana, third, why="the other scanner is back")
    assert change
    assert (change.why, production(by_ana)) == ("the other scanner is back", third)


def test_a_first_version_can_wait_too(settings: Settings) -> None:
    client(settings).create_registered_model("pneumonia")
    client(settings).create_model_version("pneumonia", source="s3://nowhere/model")
    version = waiting(settings, 1, against=None)
    assert production(settings) is None
    promote_by_hand(settings.model_copy(update={"promoted_by": "Ana Souza"}), version, why=None)
    assert production(settings) == version


def test_a_version_whose_alias_was_set_by_hand_before_any_record_is_approved_too(settings: Settings) -> None:
    client(settings).create_registered_model("pneumonia")
    client(settings).create_model_version("pneumonia", source="s3://nowhere/model")
    version = waiting(settings, 1, against=None)
    client(settings).set_registered_model_alias("pneumonia", "production", "1")
    promote_by_hand(settings.model_copy(update={"promoted_by": "Ana Souza"}), version, why=None)
    assert tags_of(settings, version)[APPROVAL_TAG] == "approved by Ana Souza"


def test_a_tag_that_the_gate_did_not_write_makes_no_candidate(by_ana: Settings) -> None:
    set_tags(by_ana, version_of(by_ana, 2), {APPROVAL_TAG: "waiting"})
    assert candidates(by_ana) == []
