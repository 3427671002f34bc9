"""What the sweep tries: scikit-learn pipelines of several families, each with a typed space of parameters."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

Value = float | int | str


@dataclass(frozen=True, kw_only=True)
class Real:
    """A number between two ends, drawn evenly, or evenly in its logarithm."""

    low: float
    high: float
    log: bool = False

    def draw(self, random: np.random.Generator) -> float:
        """One value, to three significant digits: more would only lengthen the tables."""
        value = (
            math.exp(random.uniform(math.log(self.low), math.log(self.high)))
            if self.log
            else random.uniform(self.low, self.high)
        )
        return float(f"{value:.3g}")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of a few values."""

    options: tuple[Value, ...]

    def draw(self, random: np.random.Generator) -> Value:
        """One value, all being equally likely."""
        return self.options[int(random.integers(len(self.options)))]


@dataclass(frozen=True, kw_only=True)
class ModelFamily:
    """A kind of model: how it is built from parameters, those to try first, and the space around them."""

    build: Callable[[Mapping[str, Value], int], Pipeline]
    first: Mapping[str, Value]
    space: Mapping[str, Real | Choice]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A family and its parameters; `key` is the same wherever and whenever the same model is tried."""

    family: str
    parameters: Mapping[str, Value]

    @property
    def key(self) -> str:
        """Twelve hex digits that stand for family and parameters."""
        text = json.dumps([self.family, sorted(self.parameters.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def build(self, rows: int) -> Pipeline:
        """The pipeline, not fitted, for at least so many training rows; fewer rows leave fewer principal components."""
        return FAMILIES[self.family].build(self.parameters, rows)

    def __str__(self) -> str:
        return f"{self.family}({', '.join(f'{name}={value}' for name, value in sorted(self.parameters.items()))})"


def _reduced(components: Value, rows: int, classifier: BaseEstimator) -> Pipeline:
    pca = PCA(min(int(components), rows - 1), svd_solver="randomized", random_state=0)
    return make_pipeline(StandardScaler(), pca, classifier)


def _svm(parameters: Mapping[str, Value], rows: int) -> Pipeline:
    return _reduced(parameters["components"], rows, SVC(C=float(parameters["C"]), gamma=float(parameters["gamma"])))


def _logistic_regression(parameters: Mapping[str, Value], _: int) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=float(parameters["C"]), max_iter=300))


def _boosting(parameters: Mapping[str, Value], rows: int) -> Pipeline:
    trees = HistGradientBoostingClassifier(
        max_iter=int(parameters["trees"]),
        learning_rate=float(parameters["learning_rate"]),
        early_stopping=False,
        random_state=0,
    )
    return _reduced(parameters["components"], rows, trees)


def _extra_trees(parameters: Mapping[str, Value], rows: int) -> Pipeline:
    trees = ExtraTreesClassifier(n_estimators=200, min_samples_leaf=int(parameters["min_samples_leaf"]), random_state=0)
    return _reduced(parameters["components"], rows, trees)


FAMILIES: Mapping[str, ModelFamily] = {
    "svm": ModelFamily(
        build=_svm,
        first={"components": 256, "C": 10.0, "gamma": 2.5e-4},
        space={
            "components": Choice(options=(128, 256, 384)),
            "C": Real(low=1, high=30, log=True),
            "gamma": Real(low=5e-5, high=5e-4, log=True),
        },
    ),
    "logistic-regression": ModelFamily(
        build=_logistic_regression, first={"C": 1e-2}, space={"C": Real(low=1e-4, high=1e-1, log=True)}
    ),
    "boosting": ModelFamily(
        build=_boosting,
        first={"components": 64, "trees": 150, "learning_rate": 0.1},
        space={
            "components": Choice(options=(32, 64)),
            "trees": Choice(options=(100, 150, 200)),
            "learning_rate": Real(low=0.03, high=0.2, log=True),
        },
    ),
    "extra-trees": ModelFamily(
        build=_extra_trees,
        first={"components": 64, "min_samples_leaf": 2},
        space={"components": Choice(options=(32, 64)), "min_samples_leaf": Choice(options=(1, 2, 4, 8))},
    ),
}


def candidates(count: int, *, seed: int) -> list[Candidate]:
    """The first `count` candidates: each family's own first choice, then draws, family after family.

    A longer list begins with a shorter one of the same seed, so that a larger sweep repeats nothing.
    """
    found: dict[str, Candidate] = {}
    random = np.random.default_rng(seed)
    turn = 0
    while len(found) < count:
        name = list(FAMILIES)[turn % len(FAMILIES)]
        family = FAMILIES[name]
        drawn = {parameter: space.draw(random) for parameter, space in family.space.items()}
        candidate = Candidate(family=name, parameters=family.first if turn < len(FAMILIES) else drawn)
        found.setdefault(candidate.key, candidate)
        turn += 1
    return list(found.values())
