"""One driver that builds a manifest of so many rows and extracts them, and its peak memory.

``python -m benchmarks.driver ROWS`` prints MiB; `benchmarks.extraction` starts it.
"""

import re
import resource
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from features.descriptors.filter_bank import FilterBank
from features.descriptors.hog import Hog
from features.descriptors.intensity import Intensity
from features.descriptors.lbp import Lbp
from features.normalise import Normalise
from features.spec import FeatureSpec
from ray_jobs.dataset.build import build_manifest
from ray_jobs.dataset.entry import Entry
from ray_jobs.feature_table.extraction import extract_features
from registry.state import open_state

# Extraction as cheap as it can be, so that 100,000 images take two minutes: memory is what is measured with it.
TINY = FeatureSpec(
    normalise=Normalise(side=32),
    families=(
        Lbp(radii=(1,), grid=1),
        Hog(cells=(16,), block=1),
        FilterBank(frequencies=(0.25,), directions=1, grid=1),
        Intensity(grid=1),
    ),
    lungs=None,
    acquisition=None,
)


@dataclass(frozen=True)
class Noise:
    """A source of so many different pictures of 32 pixels a side."""

    count: int
    name: str = ""

    @property
    def uri(self) -> str:
        """The address."""
        return f"noise:{self.count}"

    def entries(self) -> Iterator[Entry]:
        """Every second picture is of pneumonia."""
        for index in range(self.count):
            path = f"PNEUMONIA/person{index}_virus_1.png" if index % 2 else f"NORMAL/IM-{index}-0001.png"
            yield Entry(path=path, size=-1, version="1")

    def read(self, path: str) -> bytes:
        """The picture that the path's number gives."""
        number = int(re.findall(r"\d+", path)[0])
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
        return cv2.imencode(".png", pixels)[1].tobytes()


def drive(rows: int) -> None:
    """Build the manifest, extract, print the peak."""
    with tempfile.TemporaryDirectory() as folder:
        state = open_state(folder)
        source = Noise(rows)
        manifest = build_manifest(source, filesystem=state.filesystem, base=state.path("datasets"))
        extract_features(source, manifest, state, TINY)
    print(peak_memory())


def peak_memory() -> float:
    """MiB that this process has had at most; on Linux `ru_maxrss` begins with what the parent had."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    drive(int(sys.argv[1]))
