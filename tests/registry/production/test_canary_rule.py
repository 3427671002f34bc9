"""When a canary is taken back, on counts whose verdict was worked out by hand, and by chance between equal versions."""

import numpy as np
import pytest

from registry.production.canary_rule import difference, reason_to_take_back, wilson
from registry.production.rollout_counts import EDGES, Arm, RolloutCounts, one_picture


def arm(normal: int, pneumonia: int, *, refused: int = 0, errors: int = 0, edge: int = 8) -> Arm:
    count = normal + pneumonia + refused + errors
    times = tuple(count if step == edge else 0 for step in range(len(EDGES) + 1))
    return Arm(normal=normal, pneumonia=pneumonia, refused=refused, errors=errors, times=times)


def test_the_intervals_are_those_worked_out_by_hand() -> None:
    # 10 of 10 with z = 2: the middle is (1 + 0.2) / 1.4, half the width 2 * sqrt(0.01) / 1.4.
    assert wilson(10, 10, 2.0) == pytest.approx((1.0 / 1.4, 1.0))
    assert wilson(0, 10, 2.0) == pytest.approx((0.0, 0.4 / 1.4))
    # Their difference: 1 less the hypotenuse of 0.4 / 1.4 twice.
    assert difference(10, 10, 0, 10, z=2.0) == pytest.approx((1 - 2**0.5 * 0.4 / 1.4, 1.0))
    assert difference(1, 1, 0, 0) == (-1.0, 1.0)


PRODUCTION = arm(450, 450)  # within 16 ms each


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (arm(0, 0), ""),
        (arm(50, 50), ""),
        (arm(48, 50, errors=2), ""),  # two may be two pictures
        (arm(0, 0, errors=3), "errors: 3 of 3 pictures, 0 of 900"),
        (arm(47, 50, errors=3), ""),  # 3 of 100: the lower end is 0.03 - hypot(0.0256, 0.0165), just below 0
        (arm(45, 45, errors=10), "errors: 10 of 100 pictures, 0 of 900"),
        (arm(0, 3), ""),  # three answers say nothing of a share
        (arm(10, 90), "labels: 90 of 100 answers are PNEUMONIA, 450 of 900"),
        (arm(90, 10), "labels: 10 of 100 answers are PNEUMONIA, 450 of 900"),
        (arm(40, 60), ""),
        (arm(25, 25, refused=50), "refusals: 50 of 100 pictures, 0 of 900"),
        (arm(48, 48, refused=4), ""),
        (arm(50, 50, edge=12), "latency: half of its pictures take more than 45 ms, in Production at most 16 ms"),
        (arm(50, 50, edge=10), ""),  # twice as slow, and no more
        (arm(24, 25, edge=14), ""),  # 49 are too few for a median
    ],
)
def test_a_canary_is_taken_back_for_what_is_certain_and_for_nothing_else(candidate: Arm, reason: str) -> None:
    told = reason_to_take_back(RolloutCounts(candidate=candidate, production=PRODUCTION))
    assert told.startswith(reason)
    assert bool(told) == bool(reason)


def test_what_is_slower_and_still_quick_is_no_reason() -> None:
    counts = RolloutCounts(candidate=arm(50, 50, edge=8), production=arm(450, 450, edge=0))
    assert reason_to_take_back(counts) == ""  # 16 ms after 1 ms


def test_a_picture_is_counted_in_the_bucket_of_its_time_and_counts_add_up() -> None:
    first, second = one_picture(label="NORMAL", seconds=0.001), one_picture(label="PNEUMONIA", seconds=0.0011)
    total = first + second + one_picture(error=True, seconds=1e9)
    assert (total.normal, total.pneumonia, total.errors, total.answers, total.pictures) == (1, 1, 1, 2, 3)
    assert (total.times[0], total.times[1], total.times[-1]) == (1, 1, 1)
    assert total.median_s == EDGES[1]
    assert Arm().median_s is None


def test_between_equal_versions_the_rule_sees_a_difference_in_at_most_one_of_a_hundred_canaries() -> None:
    """Each of 400 canaries is looked at after every tenth request of the candidate, up to the 1,000th."""
    random, canaries, taken_back = np.random.default_rng(20_263), 400, 0
    for _ in range(canaries):
        mine, theirs = Arm(), Arm()
        for _ in range(100):
            sick, others = int(random.binomial(10, 0.5)), int(random.binomial(90, 0.5))
            broken, others_broken = int(random.binomial(10, 0.005)), int(random.binomial(90, 0.005))
            mine += Arm(normal=10 - sick, pneumonia=sick, errors=broken)
            theirs += Arm(normal=90 - others, pneumonia=others, errors=others_broken)
            if reason_to_take_back(RolloutCounts(candidate=mine, production=theirs)):
                taken_back += 1
                break
    print(f"taken back: {taken_back} of {canaries}")
    assert taken_back <= canaries / 100
