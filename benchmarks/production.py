"""The one small model that all servers of the benchmarks answer with, in the Production of a registry of its own."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.extract import extract
from features.reading.errors import ImageError
from ray_jobs.dataset.synthetic import chest_picture
from registry.model.bundle import Bundle, read_bundle
from registry.settings import Settings
from tests.detectors import detector_of
from tests.serve.support.models import GeneratedXrays, Registry

TRAINED_ON, PICTURES = 200, 50


@dataclass(frozen=True, kw_only=True)
class Production:
    """Where the registry is, the model in its Production, and pictures that it answers."""

    settings: Settings
    bundle: Bundle
    digest: str
    pictures: list[bytes]

    @classmethod
    def made(cls, scratch: Path, data: Path | None) -> "Production":
        """Fitted to some X-rays of a folder, with PNEUMONIA in the paths of those who are ill, or to generated ones."""
        if data:
            files = sorted(path for path in data.rglob("*") if path.is_file())
            files = files[:: max(1, len(files) // TRAINED_ON)]
            images = [path.read_bytes() for path in files]
            labels = np.array(["PNEUMONIA" in str(path) for path in files])
        else:
            labels = np.arange(TRAINED_ON) % 2
            images = [
                chest_picture(patient=patient, picture=0, label="PNEUMONIA" if label else "NORMAL")
                for patient, label in enumerate(labels)
            ]
        features, labels = np.stack([extract(image) for image in images]), labels.astype(int)
        folder = scratch / "registry"
        folder.mkdir()
        registry = Registry.empty(folder, GeneratedXrays(images, features, labels, detector_of(features, labels)))
        version = registry.add(0.01)
        registry.promote(version)
        bundle = read_bundle(registry.files_of(version), digest=version.digest)
        pictures = []
        for image in images[:: len(images) // PICTURES]:
            with contextlib.suppress(ImageError):
                bundle.score(image)
                pictures.append(image)
        return cls(settings=registry.settings, bundle=bundle, digest=version.digest, pictures=pictures)
