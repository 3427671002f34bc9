"""A predictor that does nothing, put in the place of the real one: what is measured then is the server around it.

The hook lives here and nowhere in the product. Bodies are still read and bounded, threads handed over to, answers
serialised, requests counted, logged and recorded.
"""

from typing import Any

import numpy as np

from benchmarks.others.model import IDLE
from features.look import WHOLE, Look
from features.normalise import Normalised
from registry.model.answer import ExaminedImage, ScoredImage
from registry.model.bundle import Bundle
from serve.app import Webapp

# The same for `mlflow models serve`, which takes no hook but any model.
MLFLOW_MODEL = f"""
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Idle(PythonModel):
    def predict(self, context, model_input, params=None):
        count = len(model_input)
        return pd.DataFrame({{name: [value] * count for name, value in {IDLE}.items()}})


set_model(Idle())
"""


class IdleWebapp(Webapp):
    """A replica whose every bundle answers without a look at the picture."""

    async def __init__(self, *arguments: Any, **options: Any) -> None:  # Serve makes the parent's asynchronous
        do_nothing()
        await super().__init__(*arguments, **options)


def do_nothing() -> None:
    """From now on all bundles of this process do nothing when asked for an answer."""

    def score(self: Bundle, image: bytes) -> ScoredImage:  # noqa: ARG001
        features = np.zeros(len(self.spec.names), np.float32)
        black = np.zeros((1, 1), np.float32)
        looked = Look(pictures=Normalised(plain=black, local=black), frame=WHOLE, lungs=None, aspect=1.0)
        examined = ExaminedImage(pixels=np.zeros((1, 1), np.uint8), looked=looked, features=features, doubts=())
        return ScoredImage(**IDLE, examined=examined)

    Bundle.score = score  # type: ignore[method-assign]
