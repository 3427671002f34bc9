"""Which data a version was trained on, and where what it was judged by is kept: tags of the version."""

from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from ray_jobs.dataset.sources import Kind, kind_of
from ray_jobs.feature_table.prepare import Prepared
from registry.model.versions import ModelVersion, client, tags_of
from registry.settings import Settings

REFERENCE_TAG = "reference"
OF_GENERATED = "note: {} learnt from generated pictures, and refuses real X-rays"


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Address, digest and kind of the dataset of a version, and the sha256 of its reference; None where not known."""

    uri: str | None
    digest: str | None
    kind: Kind | None
    reference: str | None

    @property
    def generated(self) -> bool:
        """Whether the pictures were generated; what is not known counts as real."""
        return self.kind == "generated"


def lineage_tags(prepared: Prepared, *, reference: str) -> dict[str, str]:
    """What a version says of its data."""
    held_out = sum(prepared.manifest.patients["held-out"].values())
    return {**prepared.tags(), "dataset.held_out_patients": str(held_out), REFERENCE_TAG: reference}


def lineage_of(settings: Settings, version: ModelVersion) -> Lineage:
    """The data of a version by its tags; versions older than these tags by those of the run that trained them."""
    tags = tags_of(settings, version)
    if "dataset.uri" not in tags:
        tags = {**_tags_of_run(settings, version.run_id), **tags}
    uri = tags.get("dataset.uri")
    return Lineage(
        uri=uri,
        digest=tags.get("dataset.digest"),
        kind=kind_of(uri) if uri else None,
        reference=tags.get(REFERENCE_TAG),
    )


def recorded_auc(settings: Settings, version: ModelVersion) -> float | None:
    """The AUC on held-out patients that the run of a version logged, None where it is not known."""
    try:
        return client(settings).get_run(version.run_id).data.metrics.get("held_out_auc")
    except MlflowException:
        return None  # the run was deleted, or the version was made by something else


def _tags_of_run(settings: Settings, run_id: str) -> dict[str, str]:
    try:
        return dict(client(settings).get_run(run_id).data.tags)
    except MlflowException:
        return {}
