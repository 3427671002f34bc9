"""From a data address to a table of features: what every job on a dataset begins with."""

from dataclasses import dataclass

from features.spec import DEFAULT_SPEC, FeatureSpec
from ray_jobs.dataset.build import FOR_TRAINING, Minimum, build_manifest
from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.manifest import Manifest
from ray_jobs.dataset.sources import kind_of, open_source
from ray_jobs.feature_table.extraction import Extraction, extract_features
from ray_jobs.feature_table.hashing import Hashing
from ray_jobs.feature_table.stored import no_features, stored_rows, stored_sides
from ray_jobs.learning.table import Sides, StoredFeatures
from ray_jobs.runtime.progress import Progress, write_line
from registry.settings import Settings
from registry.state import State, open_state


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A dataset whose manifest is built; `sides` brings its features up to date and reads them."""

    settings: Settings
    source: Source
    manifest: Manifest
    state: State

    def extract(self, spec: FeatureSpec = DEFAULT_SPEC) -> Extraction:
        """Bring the feature cache up to date for a spec."""
        return extract_features(self.source, self.manifest, self.state, spec, ray_address=self.settings.ray_address)

    def tags(self) -> dict[str, str]:
        """What every run on this dataset says of it."""
        return {
            "dataset.uri": self.manifest.uri,
            "dataset.digest": self.manifest.digest,
            "dataset.kind": kind_of(self.manifest.uri),
            "spec_fingerprint": DEFAULT_SPEC.fingerprint,
        }

    def sides(self, spec: FeatureSpec = DEFAULT_SPEC, *, seed: int = 0) -> Sides:
        """Sides by patient, with features of a spec, which are extracted where they are missing, and read when asked.

        To train on there are at most TRAINING_SAMPLE X-rays, a seed's own choice.
        """
        done = self.extract(spec)
        write_line(str(done))
        sides = stored_sides(
            self.manifest,
            self.state,
            spec,
            without=done.without,
            most=self.settings.training_sample,
            seed=seed,
            ray_address=self.settings.ray_address,
        )
        if not len(sides.train) + len(sides.held_out) + len(sides.test):
            raise no_features(self.manifest)
        if sides.left_out:
            write_line(
                f"of {len(sides.train) + len(sides.left_out):,} X-rays to train on, a sample of {len(sides.train):,} "
                "is taken (TRAINING_SAMPLE)"
            )
        return sides

    def all_rows(self, spec: FeatureSpec) -> StoredFeatures:
        """All X-rays, on whatever side, with features of a spec, which are extracted where they are missing."""
        done = self.extract(spec)
        write_line(str(done))
        address = self.settings.ray_address
        return stored_rows(self.manifest, self.state, spec, without=done.without, ray_address=address)


def prepare(settings: Settings, *, minimum: Minimum | None = FOR_TRAINING) -> Prepared:
    """Open the dataset that DATA_URI names and build its manifest; `minimum` is what training needs of it.

    Raises
    ------
    ray_jobs.dataset.errors.DatasetError
        If it cannot be opened, or too little of it can be used.
    """
    state = open_state(settings.state_uri)
    source = open_source(settings.data_uri)
    with Progress("reading", unit="file") as progress:
        manifest = build_manifest(
            source,
            filesystem=state.filesystem,
            base=state.path("datasets"),
            minimum=minimum,
            examiner=Hashing(settings.ray_address),
            on_progress=lambda done, total: progress.reach(done, total=total),
        )
    write_line(describe(manifest))
    return Prepared(settings=settings, source=source, manifest=manifest, state=state)


def describe(manifest: Manifest) -> str:
    """One line on a dataset: what it has, and what was left out."""
    counted = ", ".join(
        f"{sum(labels.values())} {side} ({labels['PNEUMONIA']} pneumonia)"
        for side, labels in manifest.pictures.items()
        if sum(labels.values())
    )
    report = f"; left out: {manifest.left_out}, listed in {manifest.quarantine_path}" if manifest.left_out else ""
    sides = f": {counted}" if counted else ""
    return f"{manifest.rows} X-rays from {manifest.uri}{sides}{report}"
