"""Where numbers were measured, against what their names say."""

import re

import numpy as np

from features.descriptors.filter_bank import FilterBank
from features.descriptors.hog import Hog
from features.descriptors.intensity import Intensity
from features.descriptors.lbp import Lbp
from features.normalise import Normalise
from features.places import places
from features.spec import DEFAULT_SPEC, FeatureSpec

OTHER = FeatureSpec(
    normalise=Normalise(side=96),
    lbp=Lbp(radii=(1.0, 3.0), grid=3),
    hog=Hog(orientations=6, cells=(16, 24), block=3),
    filter_bank=FilterBank(frequencies=(0.2,), directions=4, grid=5),
    intensity=Intensity(grid=6, quantiles=(0.5,)),
)


def _cell_of(name: str, spec: FeatureSpec) -> list[float]:
    if name.startswith("hog"):
        size, row, column, inner_row, inner_column = map(int, re.findall(r"\d+", name)[:5])
        down, right, share = row + inner_row, column + inner_column, size / spec.normalise.side
    else:
        found = re.search(r"r(\d+)c(\d+)", name)
        if found is None:
            return [np.nan] * 4
        family = {"l": spec.lbp, "g": spec.filter_bank, "i": spec.intensity}[name[0]]
        down, right, share = int(found[1]), int(found[2]), 1 / family.grid
    return [down * share, right * share, (down + 1) * share, (right + 1) * share]


def test_every_number_stands_where_its_name_says() -> None:
    for spec in (DEFAULT_SPEC, OTHER):
        np.testing.assert_allclose(places(spec), [_cell_of(name, spec) for name in spec.names])
