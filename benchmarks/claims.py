"""What is asked of the project's speed, and what a run says of it: figures, ratios with intervals, kept or not."""

from dataclasses import dataclass
from statistics import median
from typing import Literal

from benchmarks.results import Results

Relation = Literal[">=", "<="]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A contestant of ours beside a peer in one series, and what is asked of it, if anything is.

    What is asked holds for the ratio of ours to the peer's, with `of="ours"` for the value of ours itself. Without a
    peer there is no ratio. It is kept anyway where both sides of the series `unless` differ.
    """

    series: str
    ours: str
    peer: str | None = None
    relation: Relation | None = None
    limit: float = 0.0
    of: Literal["ratio", "ours"] = "ratio"
    unless: str = ""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Ours in the peer's of the same round: the median of the rounds, their least and their most.

    Between the least and the most of seven rounds lies the true median with a probability of 98 %, of five with 94 %,
    of three with 75 %, of two with 50 %.
    """

    value: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a run says of a claim: medians of ours and of the peer's, their ratio, whether what is asked is kept.

    What was not measured is None, and `missing` says why.
    """

    claim: Claim
    ours: float | None = None
    peer: float | None = None
    ratio: Ratio | None = None
    kept: bool | None = None
    missing: str = ""


# Shares of what the cores could do at most. All that a request or a job does besides has to fit into the rest.
_EVERY_CORE = 0.9

CLAIMS = (
    Claim(series="idle", ours="haproxy", peer="triton", relation=">=", limit=1.0),
    Claim(series="idle", ours="haproxy", peer="bare", relation=">=", limit=0.75),
    Claim(series="idle", ours="haproxy", peer="mlflow", relation=">=", limit=3.0),
    Claim(series="idle", ours="haproxy", peer="litserve"),
    Claim(series="idle", ours="haproxy", peer="bentoml"),
    Claim(series="idle", ours="shipped", peer="triton"),
    Claim(series="real", ours="shipped", peer="triton", relation=">=", limit=1.5),
    Claim(series="real", ours="shipped", peer="bare", relation=">=", limit=1.3),
    Claim(series="real", ours="shipped", peer="mlflow", relation=">=", limit=1.5),
    Claim(series="real", ours="shipped", peer="litserve"),
    Claim(series="real", ours="shipped", peer="bentoml"),
    Claim(series="real", ours="haproxy", peer="triton"),
    Claim(series="real", ours="haproxy", peer="bare"),
    Claim(series="real", ours="python", peer="bare"),
    Claim(series="tail", ours="shipped", peer="bare", relation="<=", limit=1.2),
    Claim(series="overload", ours="shipped", peer="best", relation=">=", limit=0.8),
    Claim(series="files", ours="shipped", peer="single", relation=">=", limit=_EVERY_CORE),
    Claim(series="batch", ours="ray", peer="alone", relation=">=", limit=_EVERY_CORE),
    Claim(series="features", ours="now", peer="before", relation="<=", limit=0.5),
    Claim(series="difference", ours="now", relation="<=", limit=1e-5, of="ours", unless="code_version"),
    Claim(series="start", ours="now", peer="before", relation="<=", limit=5.0, of="ours"),
    Claim(series="page", ours="now", peer="before", relation="<=", limit=75.0, of="ours"),
)


def figures(results: Results) -> list[Figure]:
    """Every claim with what a run says of it."""
    return [figure(claim, results) for claim in CLAIMS]


def figure(claim: Claim, results: Results) -> Figure:
    """One claim with what a run says of it."""
    found = results.series.get(claim.series, {})
    ours, peer = found.get(claim.ours), found.get(claim.peer or "")
    ratio = ratio_of(ours, peer) if ours and peer else None
    value = median(ours) if ours else None
    asked = value if claim.of == "ours" else ratio and ratio.value
    return Figure(
        claim=claim,
        ours=value,
        peer=median(peer) if peer else None,
        ratio=ratio,
        kept=_kept(claim, asked, results) if claim.relation else None,
        missing=_missing(claim, results),
    )


def ratio_of(ours: list[float], peer: list[float]) -> Ratio:
    """Ours in the peer's of the same round, which what else the machine does blurs least.

    >>> ratio_of([2.0, 6.0, 3.0], [1.0, 2.0, 2.0])
    Ratio(value=2.0, low=1.5, high=3.0, rounds=3)
    """
    each = [one / another for one, another in zip(ours, peer, strict=True)]
    return Ratio(value=median(each), low=min(each), high=max(each), rounds=len(each))


def _kept(claim: Claim, value: float | None, results: Results) -> bool | None:
    sides = results.series.get(claim.unless, {})
    if len({tuple(side) for side in sides.values()}) > 1:
        return True
    if value is None:
        return None
    return value >= claim.limit if claim.relation == ">=" else value <= claim.limit


def _missing(claim: Claim, results: Results) -> str:
    """Why a side of a claim was not measured; empty where both were."""
    found = results.series.get(claim.series)
    if found is None:
        return results.missing.get(claim.series, "this part was not run")
    lacking = [name for name in (claim.ours, claim.peer) if name and name not in found]
    return "; ".join(results.missing.get(name, f"there is no {name} in this run") for name in lacking)
