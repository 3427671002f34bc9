"""The schedule of kills: the same from the same seed, and fair to every part."""

from collections import Counter

from tests.serve.support.kill_schedule import kill_schedule

PARTS = ("job", "MLflow", "Postgres", "object store", "replica")


def test_one_seed_gives_one_schedule_and_another_seed_another() -> None:
    first, again, other = (kill_schedule(PARTS, kills=10, operations=100, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_part_is_killed_as_often_as_the_others_and_all_before_the_last_operation() -> None:
    schedule = kill_schedule(PARTS, kills=15, operations=100, seed=3)
    assert set(Counter(kill.part for kill in schedule).values()) == {3}
    assert [kill.after for kill in schedule] == sorted(kill.after for kill in schedule)
    assert schedule[-1].after < 100
