"""BentoML, whose own command serves what is here: ``bentoml serve benchmarks.others.with_bentoml:Xray``."""

from pathlib import Path
from typing import Any

import bentoml  # type: ignore[import-not-found]

from benchmarks.others.model import scorer


@bentoml.service(name="xray", workers=1)  # type: ignore[misc]
class Xray:
    """A picture as the raw body."""

    def __init__(self) -> None:
        self.score = scorer()

    @bentoml.api  # type: ignore[misc]
    def predict(self, image: Path, /) -> dict[str, Any]:
        """Its answer."""
        return self.score(image.read_bytes())
