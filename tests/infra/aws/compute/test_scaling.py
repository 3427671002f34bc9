"""How many workers come for how many that are wanted."""

import pytest

from infra.aws.compute.scaling import steps


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("most", [1, 4, 20, 21, 64])
def test_as_many_workers_as_are_wanted_come_and_never_more_than_the_most(least: int, most: int):
    found = steps(least, most)
    assert len(found) <= 20
    assert "metric_interval_upper_bound" not in found[-1]
    for wanted in range(1, most + 10):
        above = wanted - 1  # the alarm's threshold is one worker
        [step] = [
            step
            for step in found
            if float(step["metric_interval_lower_bound"]) <= above < float(step.get("metric_interval_upper_bound", 1e9))
        ]
        assert min(wanted, most) <= step["scaling_adjustment"] <= most
        assert most > 20 or step["scaling_adjustment"] == min(wanted, most)
