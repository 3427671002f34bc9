"""The language that the contributor's page adds is found, and says what every language says."""

from pathlib import Path

from tests.extending import PAGES, diffs, extend, run_tests


def test_a_language_of_the_page_takes_one_file_and_meets_the_contract_of_languages(tmp_path: Path) -> None:
    assert diffs(PAGES[0])["page language"].count("diff --git") == 1
    # Without conftest: what the contract needs is quick, and importing what the others need is not.
    copy = extend(tmp_path, "page language")
    output = run_tests(copy, "--noconftest", "tests/serve/page/test_language.py")
    assert "test_every_language_says_the_same_things_with_the_same_places_to_fill[es]" in output
    assert "test_every_language_is_chosen_by_its_code_and_by_the_tag_of_its_pages[es]" in output
