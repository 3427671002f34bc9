"""Which X-rays are fitted on or compared where there are more than memory and time allow."""

import hashlib

import numpy as np


def order_of_shards(shards: int, *, seed: int) -> np.ndarray:
    """In which order shards are taken, int (shards,): for each its place, the same for the same seed."""
    return np.random.default_rng([shards, seed]).permutation(shards)


def key_of(patient: str) -> int:
    """Sixty-four bits for a patient's id, so that a million patients are counted in eight megabytes."""
    return int.from_bytes(hashlib.sha256(patient.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def choose(labels: np.ndarray, patients: np.ndarray, turns: np.ndarray, *, most: int) -> np.ndarray:
    """Bool (N,): at most `most` of N X-rays, all of them if they are no more.

    `labels` (N,) are 0 or 1, `patients` (N,) numbers of patients, and `turns` (N,) says when each X-ray's shard is
    taken. Shards hold X-rays by the hash of their content, so a few whole shards are a random sample, and the others
    need not be read. Each class keeps its share (stratified sampling; Cochran, 1977, "Sampling techniques", chapter 5).
    In the last shards that are taken, X-rays of a patient who has none yet come first, then second ones, and so on: two
    X-rays of one patient teach less than two of two.

    >>> labels, turns = np.array([0, 0, 0, 0, 1, 1]), np.array([1, 0, 0, 0, 0, 1])
    >>> choose(labels, np.array([1, 2, 2, 3, 4, 5]), turns, most=3).astype(int)
    array([0, 1, 0, 1, 1, 0])
    """
    chosen = np.zeros(len(labels), bool)
    if len(labels) <= most:
        return ~chosen
    ill = max(1, min(most - 1, round(most * float(np.mean(labels)))))
    for label, quota in ((0, most - ill), (1, ill)):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort(turns[rows], kind="stable")]
        taken = rows[turns[rows] <= turns[rows[min(quota, len(rows)) - 1]]]
        chosen[taken[np.argsort(_occurrences(patients[taken]), kind="stable")[:quota]]] = True
    return chosen


def _occurrences(values: np.ndarray) -> np.ndarray:
    """For each of values (K,), how often it stands before: 0 for a first one, 1 for a second one."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counted = np.arange(len(values)) - np.repeat(begins, np.diff(np.append(begins, len(values))))
    found = np.empty(len(values), np.intp)
    found[order] = counted
    return found


class Sample:
    """Rows of several arrays, at most so many, drawn at random from all that are added; the same ones each time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._random = np.random.default_rng(0)
        self._parts = list[tuple[np.ndarray, ...]]()

    def add(self, *columns: np.ndarray) -> None:
        """Add N rows of each column: arrays (N, ...), the same columns in the same order each time."""
        self._parts.append((self._random.random(len(columns[0])), *columns))
        if sum(len(part[0]) for part in self._parts) > 2 * self._most:
            self._parts = [self._drawn()]

    def columns(self) -> tuple[np.ndarray, ...]:
        """The rows that were drawn, by column, in the order in which they were added; some must have been."""
        return self._drawn()[1:]

    def _drawn(self) -> tuple[np.ndarray, ...]:
        joined = tuple(np.concatenate(column) for column in zip(*self._parts, strict=True))
        chosen = np.sort(np.argsort(joined[0], kind="stable")[: self._most])
        return tuple(column[chosen] for column in joined)
