"""What the notebook shows of a dataset: who is on which side, sizes, and what is left out."""

from ray_jobs.feature_table.prepare import Prepared
from ray_jobs.notebook.pictures import counts, listed, pictures_figure, quarantined, sample, sizes_figure


def test_every_x_ray_is_counted_and_listed_once_with_its_class_and_side(prepared: Prepared):
    found = counts(prepared.manifest)
    assert found["X-rays"].to_numpy().sum() == prepared.manifest.rows == len(listed(prepared.manifest))
    assert found.loc["held-out", ("X-rays", "NORMAL")] == prepared.manifest.pictures["held-out"]["NORMAL"]
    assert found.loc["train", ("patients", "PNEUMONIA")] == prepared.manifest.patients["train"]["PNEUMONIA"]
    held_out = listed(prepared.manifest, "held-out")
    assert held_out["label"].value_counts().to_dict() == prepared.manifest.pictures["held-out"]
    assert all(row.path.startswith(row.label) for row in held_out.itertuples())


def test_what_is_left_out_is_named_with_its_reason(prepared: Prepared):
    reasons = quarantined(prepared.manifest).set_index("path")["reason"].to_dict()
    assert reasons == {
        "LATERAL/IM-9004-0001.jpeg": "no-label-folder",
        "NORMAL/IM-9001-0001.jpeg": "duplicate",
        "NORMAL/notes.txt": "not-an-image",
        "NORMAL/person9002_virus_1.jpeg": "label-contradicts-name",
    }


def test_a_sample_has_both_classes_and_leaves_out_what_cannot_be_decoded(prepared: Prepared):
    found = sample(prepared, each=3)
    assert [one.label for one in found] == ["NORMAL"] * 3 + ["PNEUMONIA"] * 2  # the last of them broke off
    figure = pictures_figure(found)
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == [one.label for one in found]
    (axes,) = sizes_figure(found).axes
    assert [line.get_label() for line in axes.lines] == ["NORMAL, 3 pictures", "PNEUMONIA, 2 pictures"]
    assert axes.lines[0].get_xydata().tolist() == [[one.pixels.shape[1], one.pixels.shape[0]] for one in found[:3]]


def test_a_class_that_is_small_is_shown_whole_and_nothing_twice(prepared: Prepared):
    paths = [one.path for one in sample(prepared, each=500)]
    assert len(paths) == len(set(paths)) == prepared.manifest.rows - 1
