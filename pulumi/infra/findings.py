"""What `make doctor` finds: one thing that is wrong, and the command that mends it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong and the command that mends it; with `stops`, `make up` would fail on it."""

    what: str
    remedy: str
    stops: bool = True

    def __str__(self) -> str:
        return f"{'STOPS' if self.stops else 'note '}  {self.what}\n       {self.remedy}"
