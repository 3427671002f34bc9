"""Which grey values become black and white where a file does not say: those of the picture, not of what lies far off.

Padding, collimators and burnt-in marks often hold one stored value far away from all others. Taken for the end of the
range, it would press the picture itself into a sliver of grey.
"""

import numpy as np

_LONE_GAP = 0.5  # of the span of all other values: in X-rays a lone end value lies at most a quarter of it away
_FEWEST_LEFT = 16  # values: what has fewer is a mask or a drawing, whose values are all meant
_TAIL = 0.005
_REACH = 2.0  # of the span between the tails: X-rays end well within it


def robust_range(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The values (low, high) that black and white should have.

    ``values`` are distinct and finite, in any order, ``counts`` (same shape, positive) how many pixels have each. The
    ends are the least and the greatest value, except for single values with a wide gap to the rest, and for few pixels
    far outside the span that holds 99 % of the others.

    >>> stored = np.append(-20_000, np.arange(100))  # one value far from the others, as padding is
    >>> robust_range(stored, np.full(101, 50))
    (0.0, 99.0)
    """
    order = np.argsort(values)
    values, counts = values[order], counts[order]
    first, last = _without_lone_ends(values)
    values, counts = values[first : last + 1], counts[first : last + 1]
    share = np.cumsum(counts) / counts.sum()
    below, above = (float(values[np.searchsorted(share, tail)]) for tail in (_TAIL, 1 - _TAIL))
    if below == above:
        return float(values[0]), float(values[-1])
    reach = _REACH * (above - below)
    return max(float(values[0]), below - reach), min(float(values[-1]), above + reach)


def _without_lone_ends(values: np.ndarray) -> tuple[int, int]:
    first, last = 0, len(values) - 1
    while last - first >= _FEWEST_LEFT:
        if values[first + 1] - values[first] > _LONE_GAP * (values[last] - values[first + 1]):
            first += 1
        elif values[last] - values[last - 1] > _LONE_GAP * (values[last - 1] - values[first]):
            last -= 1
        else:
            break
    return first, last
