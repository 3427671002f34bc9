"""What one run of `python -m benchmarks` measured: every round as it was, without anything computed from it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Series = dict[str, list[float]]  # the value of each round, by contestant


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one part of the run found: series by their names, and why a contestant or a series is not among them."""

    series: dict[str, Series]
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Results:
    """A run, which may not be whole yet.

    Attributes
    ----------
    about
        On what it was measured: commit, commit before, date, data, and the machine.
    series
        The value of each round, by series and contestant. The rounds of a series were measured in turn.
    missing
        Why a part, a series or a contestant was not measured, by its name.
    busy
        The share of the processors that other programs used right before a part, by part.
    seconds
        How long each part took.
    """

    about: dict[str, Any]
    series: dict[str, Series] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, measured: Measured, *, busy: float, seconds: float) -> None:
        """Keep what a part found."""
        for name in (*measured.series, *(one for found in measured.series.values() for one in found)):
            self.missing.pop(name, None)  # an earlier try may have failed
        self.series |= measured.series
        self.missing |= measured.missing
        self.busy[part], self.seconds[part] = busy, seconds

    def save(self, file: Path) -> None:
        """Write all of it; whoever reads meanwhile sees the file before or the file after."""
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        part.replace(file)

    @classmethod
    def load(cls, file: Path) -> "Results":
        """What `save` wrote."""
        return cls(**json.loads(file.read_text()))
