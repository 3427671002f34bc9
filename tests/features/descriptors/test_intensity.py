"""Intensity statistics on arrays small enough to do by hand."""

import numpy as np

from features.descriptors.intensity import Intensity, intensity


def test_means_deviations_and_quantiles_stand_in_the_order_of_their_names() -> None:
    image = np.array([[0, 2, 5, 5], [4, 6, 5, 5], [1, 1, 8, 0], [1, 1, 0, 0]], dtype=np.float32)
    settings = Intensity(grid=2, quantiles=(0.0, 0.5, 1.0))
    values = dict(zip(settings.names(4)[:11], intensity(image, settings).tolist(), strict=True))
    assert [values[f"intensity.plain.mean.r{row}c{column}"] for row in (0, 1) for column in (0, 1)] == [3, 5, 1, 2]
    assert values["intensity.plain.deviation.r0c0"] == np.float32(np.std([0, 2, 4, 6]))
    assert values["intensity.plain.deviation.r1c0"] == 0
    assert [values[f"intensity.plain.quantile.{q}"] for q in ("0", "0.5", "1")] == [0, 3, 8]  # of 0, 1, 5, 8


def test_a_flat_image_has_no_deviation_and_no_nan() -> None:
    vector = intensity(np.full((64, 64), 0.1, dtype=np.float32), Intensity())
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    assert np.abs(vector[256:512]).max() < 1e-3
