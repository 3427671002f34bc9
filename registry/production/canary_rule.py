"""When a canary is taken back: a pure rule on what both versions did with their shares of the requests.

Shares are compared by the interval of their difference (Newcombe's method 10, from Wilson's interval of each share:
R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17,
1998). The counts are looked at again and again, so the intervals are wide: each end is passed by chance once in 20,000
looks that know nothing of each other.
"""

import math

from registry.production.rollout_counts import Arm, RolloutCounts

Z = 3.89
MARGIN = 0.10  # by how much the share of answers PNEUMONIA, or of refusals, may differ
FEWEST_ERRORS = 3
FEWEST_TIMES = 50
SLOWER = 2.0
SLOW_S = 0.05


def reason_to_take_back(counts: RolloutCounts) -> str:
    """Why the candidate is to be taken back; empty where nothing speaks for it."""
    mine, theirs = counts.candidate, counts.production
    return _errors(mine, theirs) or _refusals(mine, theirs) or _labels(mine, theirs) or _slowness(mine, theirs)


def _errors(mine: Arm, theirs: Arm) -> str:
    low, _ = difference(mine.errors, mine.pictures, theirs.errors, theirs.pictures)
    if mine.errors < FEWEST_ERRORS or low <= 0:
        return ""
    return f"errors: {mine.errors} of {mine.pictures} pictures, {theirs.errors} of {theirs.pictures} in Production"


def _refusals(mine: Arm, theirs: Arm) -> str:
    low, _ = difference(mine.refused, mine.pictures, theirs.refused, theirs.pictures)
    if low <= MARGIN:
        return ""
    return (
        f"refusals: {mine.refused} of {mine.pictures} pictures, {theirs.refused} of {theirs.pictures} in Production, "
        f"certainly more than {MARGIN:.0%} apart"
    )


def _labels(mine: Arm, theirs: Arm) -> str:
    low, high = difference(mine.pneumonia, mine.answers, theirs.pneumonia, theirs.answers)
    if low <= MARGIN and high >= -MARGIN:
        return ""
    return (
        f"labels: {mine.pneumonia} of {mine.answers} answers are PNEUMONIA, {theirs.pneumonia} of {theirs.answers} in "
        f"Production, certainly more than {MARGIN:.0%} apart"
    )


def _slowness(mine: Arm, theirs: Arm) -> str:
    mine_s, theirs_s = mine.median_s, theirs.median_s
    if mine_s is None or theirs_s is None or min(sum(mine.times), sum(theirs.times)) < FEWEST_TIMES:
        return ""
    if mine_s <= max(SLOWER * theirs_s, SLOW_S):
        return ""
    return (
        f"latency: half of its pictures take more than {1000 * mine_s / math.sqrt(2):.0f} ms, "
        f"in Production at most {1000 * theirs_s:.0f} ms"
    )


def difference(hits: int, of: int, other_hits: int, other_of: int, *, z: float = Z) -> tuple[float, float]:
    """The interval of `hits / of` minus `other_hits / other_of`; (-1, 1) where either has nothing to count."""
    if not of or not other_of:
        return -1.0, 1.0
    share, (low, high) = hits / of, wilson(hits, of, z)
    other, (other_low, other_high) = other_hits / other_of, wilson(other_hits, other_of, z)
    gap = share - other
    return gap - math.hypot(share - low, other_high - other), gap + math.hypot(high - share, other - other_low)


def wilson(hits: int, of: int, z: float) -> tuple[float, float]:
    """Wilson's interval of a share (E. B. Wilson, "Probable inference", JASA 22, 1927)."""
    share, scale = hits / of, 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)
