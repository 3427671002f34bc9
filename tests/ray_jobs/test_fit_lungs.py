"""Fitting the locator of lungs, as far as it can be without X-rays that have masks."""

import pytest

from ray_jobs.dataset.errors import SourceError, TooLittleData
from ray_jobs.fit_lungs import run
from ray_jobs.runtime.output import OutputError


def test_the_place_of_the_numbers_is_tried_before_any_picture_is_read(tmp_path):
    with pytest.raises(OutputError, match=r"--out is .*, which is a folder; name a file in it"):
        run(tmp_path, tmp_path, out=tmp_path, rounds=1, seed=0)


@pytest.mark.parametrize(("images", "masks", "option"), [("no", "", "--images"), ("", "no", "--masks")])
def test_a_folder_that_is_not_there_is_named_with_its_option(tmp_path, images, masks, option):
    with pytest.raises(SourceError, match=f"{option} is .*/no, which is no folder"):
        run(tmp_path / images, tmp_path / masks, out=tmp_path / "lungs.npz", rounds=1, seed=0)
    assert not list(tmp_path.iterdir())


def test_too_few_masks_are_told_and_leave_no_file(tmp_path):
    with pytest.raises(TooLittleData, match="0 X-rays with masks to fit"):
        run(tmp_path, tmp_path, out=tmp_path / "lungs.npz", rounds=1, seed=0)
    assert not list(tmp_path.iterdir())
