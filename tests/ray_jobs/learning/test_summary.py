"""What a terminal says of a trained model."""

import numpy as np
import pytest

from ray_jobs.learning.evaluate import evaluate
from ray_jobs.learning.summary import measured_lines

HELD_OUT = evaluate(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.8]), np.arange(4), threshold=0.5)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (
            {"NORMAL": 0, "PNEUMONIA": 10},
            ["test/       is not evaluated, which takes X-rays of both classes: it has 0 NORMAL and 10 PNEUMONIA"],
        ),
        ({"NORMAL": 0, "PNEUMONIA": 0}, []),
    ],
)
def test_a_test_folder_of_one_class_is_said_not_to_be_evaluated(there, said):
    card = {"data": {"pictures": {"test": there}}}
    lines = measured_lines(HELD_OUT, test=None, shifted=None, card=card)
    assert [line for line in lines if "test/" in line] == said
