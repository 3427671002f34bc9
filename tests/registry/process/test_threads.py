"""One thread while something is decided, whatever the process had, and its own number again afterwards."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from registry.process.threads import one_thread
from registry.settings import ROOT


def numbers(api: str) -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == api}


@pytest.fixture(autouse=True)
def _four_threads():
    with threadpool_limits(4):
        yield


def test_every_library_has_one_thread_inside_and_its_own_number_afterwards():
    with one_thread():
        assert (numbers("blas"), numbers("openmp")) == ({1}, {1})
        with one_thread():
            assert (numbers("blas"), numbers("openmp")) == ({1}, {1})
        assert (numbers("blas"), numbers("openmp")) == ({1}, {1})
    assert (numbers("blas"), numbers("openmp")) == ({4}, {4})


def test_an_answer_that_ends_gives_no_threads_back_under_one_that_is_still_computed():
    inside, ended = threading.Event(), threading.Event()

    def slow() -> list[set[int]]:
        with one_thread():
            inside.set()
            assert ended.wait(10)
            return [numbers("blas"), numbers("openmp")]

    with ThreadPoolExecutor(1) as pool:
        with one_thread():
            found = pool.submit(slow)
            assert inside.wait(10)
        ended.set()
        assert found.result() == [{1}, {1}]
    assert numbers("blas") == {4}  # although another thread than the first one ended last


def test_what_fails_inside_gives_the_threads_back_as_well():
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 // 0
    assert (numbers("blas"), numbers("openmp")) == ({4}, {4})


def test_a_thread_that_another_one_keeps_from_setting_the_number_sets_it_all_the_same():
    random = np.random.default_rng(0)
    matrix = random.standard_normal((300, 300))
    with one_thread():
        expected = matrix @ matrix
    with threadpool_limits(4), ThreadPoolExecutor(1) as pool:  # this thread controls OpenBLAS

        def product() -> np.ndarray:
            with one_thread():
                assert numbers("blas") == {1}
                return matrix @ matrix

        np.testing.assert_array_equal(pool.submit(product).result(), expected)


def test_a_process_can_be_left_with_one_thread_of_blas_for_good():
    code = """
import scipy.linalg
from threadpoolctl import threadpool_info
from registry.process.threads import one_thread, one_thread_from_now_on
one_thread_from_now_on()
with one_thread():
    pass
print({found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"})
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    said = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=environment, text=True)
    assert said.strip() == "{1}"
