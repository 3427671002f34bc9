"""Figures, ratios and verdicts of runs that are small enough to be done by hand."""

import pytest

from benchmarks.claims import CLAIMS, Claim, Ratio, figure, figures
from benchmarks.results import Results
from benchmarks.words import CONTESTANTS, SERIES

FASTER = Claim(series="real", ours="shipped", peer="triton", relation=">=", limit=1.5)
SOONER = Claim(series="start", ours="now", peer="before", relation="<=", limit=5.0, of="ours")
SAME = Claim(series="difference", ours="now", relation="<=", limit=1e-5, of="ours", unless="code_version")


def run(**series: dict[str, list[float]]) -> Results:
    return Results(about={}, series=series)


def test_a_ratio_is_that_of_each_round_and_its_interval_goes_from_the_least_to_the_most():
    # 120/100 = 1.2, 200/100 = 2, 160/80 = 2: the medians alone would give 160/100 = 1.6
    found = figure(FASTER, run(real={"shipped": [120.0, 200.0, 160.0], "triton": [100.0, 100.0, 80.0]}))
    assert (found.ours, found.peer) == (160.0, 100.0)
    assert found.ratio == Ratio(value=2.0, low=1.2, high=2.0, rounds=3)
    assert (found.kept, found.missing) == (True, "")


@pytest.mark.parametrize(("ours", "kept"), [(149.0, False), (150.0, True), (151.0, True)])
def test_a_ratio_below_what_is_asked_is_missed(ours: float, kept: bool):
    assert figure(FASTER, run(real={"shipped": [ours], "triton": [100.0]})).kept is kept


@pytest.mark.parametrize(("seconds", "kept"), [(4.9, True), (5.0, True), (5.1, False)])
def test_what_is_asked_of_ours_alone_does_not_depend_on_the_other_side(seconds: float, kept: bool):
    found = figure(SOONER, run(start={"now": [seconds], "before": [1.0]}))
    assert (found.kept, found.ratio and found.ratio.value) == (kept, seconds)


def test_what_is_asked_of_ours_is_judged_where_the_earlier_commit_is_missing_which_is_said():
    results = run(start={"now": [4.0, 6.0, 4.5]})
    results.missing["before"] = "there is no git"
    found = figure(SOONER, results)
    assert (found.ours, found.kept, found.ratio, found.missing) == (4.5, True, None, "there is no git")


def test_other_numbers_are_missed_unless_the_code_has_another_version():
    far = {"difference": {"now": [0.5]}}
    assert figure(SAME, run(**far, code_version={"now": [1.0], "before": [1.0]})).kept is False
    assert figure(SAME, run(**far, code_version={"now": [2.0], "before": [1.0]})).kept is True
    assert figure(SAME, run(difference={"now": [1e-6]}, code_version={"now": [1.0], "before": [1.0]})).kept is True
    assert figure(SAME, run(code_version={"now": [2.0], "before": [1.0]})).kept is True, "other numbers of them, too"
    assert figure(SAME, run(code_version={"now": [1.0], "before": [1.0]})).kept is None


def test_a_peer_that_is_missing_is_said_and_nothing_is_kept_without_it():
    results = run(real={"shipped": [150.0]})
    results.missing["triton"] = "it cannot be installed"
    found = figure(FASTER, results)
    assert (found.ours, found.peer, found.ratio, found.kept) == (150.0, None, None, None)
    assert found.missing == "it cannot be installed"


def test_a_part_that_failed_or_was_not_run_says_so():
    assert figure(FASTER, run()).missing == "this part was not run"
    assert figure(FASTER, Results(about={}, missing={"real": "no port is free"})).missing == "no port is free"


def test_every_claim_has_its_words_and_only_one_row():
    assert {claim.series for claim in CLAIMS} == SERIES.keys()
    assert {name for claim in CLAIMS for name in (claim.ours, claim.peer) if name} == CONTESTANTS.keys()
    assert len({(claim.series, claim.ours, claim.peer) for claim in CLAIMS}) == len(CLAIMS)
    assert [found.kept for found in figures(run())] == [None] * len(CLAIMS)
