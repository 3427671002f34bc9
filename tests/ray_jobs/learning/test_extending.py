"""The family of models that the contributor's page adds can be fitted, stored and read."""

from pathlib import Path

import pytest

from tests.extending import PAGES, diffs, extend, run_tests


@pytest.mark.long  # fits on X-rays of its own, in a process of its own
def test_a_family_of_models_takes_one_file_and_meets_the_contract_of_models(tmp_path: Path) -> None:
    assert diffs(PAGES[0])["model family"].count("diff --git") == 1
    output = run_tests(extend(tmp_path, "model family"), "tests/ray_jobs", "-k", "every_family and discriminant")
    assert "test_every_family_can_be_stored_and_read_with_our_trusted_types[discriminant]" in output
