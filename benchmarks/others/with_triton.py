"""Triton, by PyTriton: ``python -m benchmarks.others.with_triton PORT``, by the Python of `benchmarks.environments`."""

import sys

import numpy as np
from pytriton.decorators import batch  # type: ignore[import-not-found]
from pytriton.model_config import ModelConfig, Tensor  # type: ignore[import-not-found]
from pytriton.triton import Triton, TritonConfig  # type: ignore[import-not-found]

from benchmarks.others.model import scorer

MODEL = "xray"


def main() -> None:
    """Serve until interrupted; Triton forms batches of requests, the model answers one picture after another."""
    score = scorer()

    @batch  # type: ignore[misc]
    def answer(image: np.ndarray) -> dict[str, np.ndarray]:
        answers = [score(row[0]) for row in image]
        return {
            "probability": np.array([[answer["probability"]] for answer in answers], np.float64),
            "label": np.array([[answer["label"].encode()] for answer in answers], object),
        }

    config = TritonConfig(http_address="127.0.0.1", http_port=int(sys.argv[1]), allow_grpc=False, allow_metrics=False)
    with Triton(config=config) as triton:
        triton.bind(
            model_name=MODEL,
            infer_func=answer,
            inputs=[Tensor(name="image", dtype=np.bytes_, shape=(1,))],
            outputs=[
                Tensor(name="probability", dtype=np.float64, shape=(1,)),
                Tensor(name="label", dtype=np.bytes_, shape=(1,)),
            ],
            config=ModelConfig(max_batch_size=16),
        )
        triton.serve()


if __name__ == "__main__":
    main()
