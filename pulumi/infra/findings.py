"""What `make doctor` finds: one thing that is wrong, and the command that fixes it."""

from dataclasses import dataclass
from enum import StrEnum


class Chapter(StrEnum):
    """The headings of docs/troubleshooting.md that a finding can lead to, as they stand behind `#` in an address."""

    MLFLOW = "mlflow-cannot-be-reached"
    PICTURES = "the-pictures-do-not-load"
    VERSION = "mlflow-shows-a-version-but-the-page-does-not-answer"
    SETTING = "a-setting-in-env-is-not-understood"
    RAY = "the-ray-in-ray_address-does-not-answer"
    TOKEN = "the-jobs-api-says-401"  # noqa: S105  a heading
    PORT = "the-port-is-in-use"
    DISK = "the-disk-is-full"
    UNHEALTHY = "a-container-is-unhealthy"
    STOPPED = "a-container-stops-or-restarts-again-and-again"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong and the command that fixes it; with `stops`, `make up` would fail on it. A chapter says more."""

    what: str
    remedy: str
    stops: bool = True
    chapter: Chapter | None = None

    def __str__(self) -> str:
        lines = [f"{'STOPS' if self.stops else 'note '}  {self.what}", self.remedy]
        if self.chapter:
            lines.append(f"docs/troubleshooting.md#{self.chapter}")
        return "\n       ".join(lines)
