"""A feature spec as cheap as one can be, with views to fit on and to judge by, for tests of what is done with it."""

from features.descriptors.filter_bank import FilterBank
from features.descriptors.hog import Hog
from features.descriptors.intensity import Intensity
from features.descriptors.lbp import Lbp
from features.normalise import Normalise
from features.spec import DEFAULT_SPEC, FeatureSpec, Jitter

QUICK = FeatureSpec(
    normalise=Normalise(side=32),
    families=(
        Lbp(radii=(1,), grid=1),
        Hog(cells=(16,), block=1),
        FilterBank(frequencies=(0.25,), directions=1, grid=1),
        Intensity(grid=1),
    ),
    lungs=None,
    jitter=Jitter(views=1),
    acquisition=DEFAULT_SPEC.acquisition,
)
