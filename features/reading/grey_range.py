"""Which grey values become black and white where a file does not say: those of the picture, not of what lies far off.

Padding, collimators and burnt-in marks often hold one stored value, or a few beside each other, far away from all
others. Taken for the end of the range, they would press the picture itself into a sliver of grey.
"""

import numpy as np

_WIDE_GAP = 0.5  # of the span of all other values: in X-rays an end value lies at most a quarter of it away
_FEWEST_LEFT = 16  # values: what has fewer is a mask or a drawing, whose values are all meant
_FEW = 10  # times as many values have to be left as are beyond a gap; a single one needs no more than the fewest
_TAIL = 0.005
_REACH = 2.0  # of the span between the tails: X-rays end well within it


def robust_range(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The values (low, high) that black and white should have.

    ``values`` are distinct and finite, in any order, ``counts`` (same shape, positive) how many pixels have each. The
    ends are the least and the greatest value, except for one or few values with a wide gap to the rest, and for few
    pixels far outside the span that holds 99 % of the others.

    >>> stored = np.append(-20_000, np.arange(100))  # one value far from the others, as padding is
    >>> robust_range(stored, np.full(101, 50))
    (0.0, 99.0)
    """
    order = np.argsort(values)
    values, counts = values[order], counts[order]
    kept = _without_far_ends(values)
    values, counts = values[kept], counts[kept]
    share = np.cumsum(counts) / counts.sum()
    below, above = (float(values[np.searchsorted(share, tail)]) for tail in (_TAIL, 1 - _TAIL))
    if below == above:
        return float(values[0]), float(values[-1])
    reach = _REACH * (above - below)
    return max(float(values[0]), below - reach), min(float(values[-1]), above + reach)


def _without_far_ends(values: np.ndarray) -> slice:
    first, end = 0, len(values)
    while end - first > _FEWEST_LEFT:
        if below := _far_below(values[first:end]):
            first += below
        elif above := _far_below(-values[first:end][::-1]):
            end -= above
        else:
            break
    return slice(first, end)


def _far_below(values: np.ndarray) -> int:
    """How many of the least values, given in order, stand by themselves below a wide gap; they must be few."""
    most = max(1, len(values) // (_FEW + 1))
    gaps, spans = np.diff(values[: most + 1]), values[-1] - values[1 : most + 1]
    wide = np.flatnonzero(gaps > _WIDE_GAP * spans)
    return int(wide[-1]) + 1 if len(wide) else 0
