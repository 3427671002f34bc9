"""X-rays after changes that they may meet on their way: of those that are still what was listed."""

import numpy as np

from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.manifest import images_of
from ray_jobs.feature_table.changed import changed_features, sample
from ray_jobs.feature_table.prepare import prepare
from ray_jobs.learning.changes import CHANGES


def test_files_that_vanish_or_change_after_the_listing_are_left_out_and_stop_nothing(settings, folder, cluster):
    prepared = prepare(settings.model_copy(update={"data_uri": str(folder)}))
    table = sample(prepared.sides().held_out)
    path = {sha256: folder / path for path, sha256 in images_of(prepared.manifest.table("path", "sha256"))}
    gone, other, third, *_ = (path[sha256] for sha256 in table.sha256.tolist())
    gone.unlink()
    other.write_bytes(third.read_bytes())
    made = changed_features(prepared.source, prepared.manifest, table, DEFAULT_SPEC, ray_address=settings.ray_address)
    np.testing.assert_array_equal(made.there, np.arange(len(table)) >= 2)
    assert made.features.shape == (len(table) - 2, 1 + len(CHANGES), len(DEFAULT_SPEC.names))
    assert len(made.aspects) == len(table) - 2
