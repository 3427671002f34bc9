"""The model as MLflow's own server runs it: a models-from-code script, copied into each version with `features`.

This is the one script of the project with an effect at import, because `set_model` is how MLflow finds the model.
Our own server never runs it; it reads the bundle beside it.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from features.reading.errors import ImageError
from registry.model.bundle import Bundle, digest_of, read_bundle


class PneumoniaModel(PythonModel):
    """One input column `image` (binary, an encoded X-ray); columns `probability` and `label` out, a row an image.

    A picture that is not a chest X-ray is the caller's error, like one that cannot be decoded: the whole request is
    answered 400 with the reason. A missing number in a row would too easily be averaged away.
    """

    bundle: Bundle

    def load_context(self, context: PythonModelContext) -> None:
        """Read the bundle; whoever serves through MLflow trusts MLflow's store, so the digest is the folder's own."""
        folder = Path(context.artifacts["bundle"])
        self.bundle = read_bundle(folder, digest=digest_of(folder))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Probability and label of each image of the column `image`; an image that is none is the caller's error."""
        try:
            answers = [self.bundle.score(image) for image in model_input["image"]]
        except ImageError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
        columns = {"probability": [a.probability for a in answers], "label": [a.label for a in answers]}
        return pd.DataFrame(columns)


set_model(PneumoniaModel())
