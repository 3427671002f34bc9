"""The simulator, against cases that can be done by hand."""

import itertools
import math

import numpy as np
import pytest

from benchmarks.scaling import Cluster, Costs, Design, clock, estimate, first_limit, lifetimes, shard_seconds, simulate

FOREVER = itertools.repeat(math.inf)


def test_four_tasks_on_two_slots_take_two_turns():
    done = simulate([10.0] * 4, Cluster(workers=1), FOREVER)
    assert (done.seconds, done.lost, done.repeated) == (20.0, 0, 0)
    assert done.worker_hours == pytest.approx(20 / 3600)


def test_a_worker_that_waits_for_the_last_task_is_paid_too():
    done = simulate([10.0, 10.0, 30.0], Cluster(workers=2, slots=1), FOREVER)
    assert done.seconds == 40.0
    assert done.worker_hours == pytest.approx(2 * 40 / 3600)


def test_more_workers_than_tasks_are_of_no_use():
    assert simulate([10.0] * 256, Cluster(workers=128), FOREVER).seconds == 10.0
    assert simulate([10.0] * 256, Cluster(workers=1_000), FOREVER).seconds == 10.0


def test_a_lost_worker_s_tasks_begin_again_on_the_others():
    # Two workers of one slot. The first is lost at 5 s; its task begins anew at 10 s, when the other one is free.
    lives = iter([5.0, math.inf, math.inf])
    done = simulate([10.0, 10.0], Cluster(workers=2, slots=1, replaced_after=90), lives)
    assert (done.seconds, done.lost, done.repeated, done.stopped) == (20.0, 1, 1, 0)
    assert done.worker_hours == pytest.approx((5 + 20) / 3600)


def test_the_only_worker_is_waited_for():
    lives = iter([15.0, math.inf])
    done = simulate([10.0, 10.0], Cluster(workers=1, slots=1, replaced_after=90), lives)
    assert done.seconds == 15 + 90 + 10
    assert done.worker_hours == pytest.approx((15 + 10) / 3600)


def test_a_task_that_is_lost_too_often_stops_the_job_which_is_run_again():
    lives = iter([5.0, 5.0, 5.0, math.inf])
    done = simulate([10.0], Cluster(workers=1, slots=1, replaced_after=0), lives, retries=2)
    assert (done.repeated, done.stopped, done.seconds) == (3, 1, 25.0)


def test_lives_are_as_long_as_the_rate_says_on_average():
    lives = lifetimes(2.0, np.random.default_rng(0))
    # The mean of 20,000 such lives has a standard error of 0.7 %.
    assert np.mean([next(lives) for _ in range(20_000)]) == pytest.approx(1800, rel=0.03)
    assert next(lifetimes(0, np.random.default_rng(0))) == math.inf


def test_every_image_is_in_one_shard():
    costs = Costs(extract=1.0, hash_byte=0.0, shard=0.0)
    assert sum(shard_seconds(10_000, costs, Design(shards=256), np.random.default_rng(0))) == pytest.approx(10_000)
    assert sum(shard_seconds(10**9, costs, Design(shards=256), np.random.default_rng(0))) == pytest.approx(10**9)
    assert len(shard_seconds(3, costs, Design(shards=256), np.random.default_rng(0))) <= 3


def test_a_million_images_by_hand():
    costs = Costs(manifest_row=1e-4, hash_byte=1e-9, image_bytes=10_000, read_latency=0.032, list_page=0.1)
    found = estimate(10**6, Cluster(workers=4), costs=costs)
    assert found.seconds["list"] == pytest.approx(1_000 * 0.1)
    assert found.seconds["hash"] == pytest.approx(10**6 * (0.032 / 8 + 1e-5))
    assert found.seconds["manifest"] == pytest.approx(100)
    assert found.needs["driver's memory"] == pytest.approx(
        10**6 * costs.feature_bytes * costs.matrix_copies / (4 * 2**30)
    )
    assert found.needs["object store"] == pytest.approx(0.8 * 10**6 * costs.feature_bytes / (0.5 * 2**30))
    assert found.needs["slots that have a shard"] == 8 / 256


def test_the_sweep_is_no_quicker_than_its_longest_trial():
    costs = Costs(trial_row=1.0, svm_row_squared=0.0)
    # 100 images: 160 training rows, each of 12 trials takes 160 s, on 2 slots 960 s, on 1,000 slots no less than 160.
    assert estimate(100, Cluster(workers=1), costs=costs).seconds["sweep"] == pytest.approx(960)
    assert estimate(100, Cluster(workers=500), costs=costs).seconds["sweep"] == pytest.approx(160)


def test_one_trial_in_four_grows_with_the_square_of_its_rows():
    costs = Costs(trial_row=0.0, svm_row_squared=0.01)
    # 160 training rows squared, a hundredth of it: 256 s for each of three trials, on two slots.
    assert estimate(100, Cluster(workers=1), costs=costs).seconds["sweep"] == pytest.approx(384)


def test_a_limit_is_where_its_need_is_all_that_there_is():
    cluster = Cluster(workers=1)
    for what in ("object store", "driver's memory", "worker's memory"):
        images = first_limit(cluster, what)
        # A limit is a whole number of images.
        assert estimate(images, cluster).needs[what] == pytest.approx(1, rel=0.001)


def test_smaller_shards_lose_less_to_interruptions():
    cluster = Cluster(workers=64, losses_an_hour=1.0)
    coarse = estimate(10**7, cluster, design=Design(shards=256)).extracted
    fine = estimate(10**7, cluster, design=Design(shards=65_536)).extracted
    assert fine.worker_hours < 0.7 * coarse.worker_hours


@pytest.mark.parametrize(
    ("seconds", "said"), [(9.04, "9.0 s"), (150, "2.5 min"), (7_200, "2.0 h"), (172_800, "2.0 days"), (4e7, "never")]
)
def test_times_are_said_in_the_unit_that_people_use(seconds: float, said: str):
    assert clock(seconds) == said


def test_today_s_design_reads_ahead_hashes_on_the_workers_and_fits_on_a_sample():
    costs, images = Costs(), 10**6
    design = Design.of(images)
    assert (Design.of(262_144).shards, design.shards, Design.of(10**7).shards) == (256, 4_096, 65_536)
    found, before = (estimate(images, Cluster(workers=4), design=which) for which in (design, Design()))
    assert found.seconds["hash"] == pytest.approx(before.seconds["hash"] / 8)
    # Eight reads of 30 ms are 3.75 ms a picture, hidden behind the 5.8 ms that its features take.
    assert found.seconds["extract"] < 1.1 * images * (costs.extract + costs.hash_byte * costs.image_bytes) / 8
    much_more = estimate(10**8, Cluster(workers=4), design=Design.of(10**8))
    for what in ("driver's memory", "object store"):
        assert found.needs[what] == much_more.needs[what] < 1
    assert much_more.needs["worker's memory"] < 0.2
