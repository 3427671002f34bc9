"""The family of features that the contributor's page adds meets the contract of families."""

from pathlib import Path

import pytest

from tests.extending import PAGES, diffs, extend, run_tests


def test_both_languages_of_the_page_show_the_same_diffs() -> None:
    english, portuguese = (diffs(page) for page in PAGES)
    assert english == portuguese
    assert english.keys() == {"feature family", "model family", "page language", "service"}


@pytest.mark.parametrize("extension", diffs(PAGES[0]))
def test_every_diff_of_the_page_fits_the_code_as_it_is(extension: str, tmp_path: Path) -> None:
    extend(tmp_path, extension)


def test_a_family_of_features_takes_two_files_and_meets_its_contract(tmp_path: Path) -> None:
    assert diffs(PAGES[0])["feature family"].count("diff --git") == 2
    tests = ("tests/features/descriptors/test_families.py", "tests/features/test_spec.py")
    # Without conftest: what the contract needs is quick, and importing what the others need is not.
    output = run_tests(extend(tmp_path, "feature family"), "--noconftest", *tests)
    assert "test_a_place_is_where_the_number_was_measured[128-Sharpness(grid=4)]" in output
    assert "test_any_parameter_changes_the_fingerprint[sharpness-grid]" in output
