"""One thread for the linear algebra that decides something, so that the same question has the same answer everywhere.

Threads that share a sum add it up in another order than one thread, and its last bits differ. How many there are is an
accident: one in a Ray worker, one for each core in a notebook.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import cv2
import scipy.linalg
import sklearn.svm
from threadpoolctl import OpenBLASController, ThreadpoolController

# Each brings an OpenBLAS of its own, scikit-learn also OpenMP. A controller knows what was loaded before it was made.
_BRINGERS = (cv2, scipy.linalg, sklearn.svm)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, of BLAS as of OpenMP. It can be nested, held by several threads at once, and decorate.

    BLAS has one number of threads for the whole process, so the first hold sets it and the last one restores it. With
    `threadpoolctl.threadpool_limits` alone, which every thread restores when it ends, an answer that ends would give
    BLAS its threads back under the answers that are still computed. OpenMP has a number for each thread.
    """
    _BLAS.hold()
    try:
        with _controller("openmp").limit(limits=1):
            yield
    finally:
        _BLAS.release()


def one_thread_from_now_on() -> None:
    """Leave BLAS one thread for as long as this process lives, which spares each answer to set and restore the number.

    For processes that compute nothing but answers: setting it takes 0.1 ms, twice an answer.
    """
    _BLAS.hold()


class _Blas:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holds = 0
        self._restore: Callable[[], None]

    def hold(self) -> None:
        with self._lock:
            if self._holds == 0:
                with _in_charge():
                    self._restore = _controller("blas").limit(limits=1).restore_original_limits
            self._holds += 1

    def release(self) -> None:
        with self._lock:
            self._holds -= 1
            if self._holds == 0:
                with _in_charge():
                    self._restore()


@contextmanager
def _in_charge() -> Iterator[None]:
    """Let this thread set the number: threadpoolctl ignores, silently, all threads but the one that set it first."""
    OpenBLASController.clear_controlling_thread(force=True)
    try:
        yield
    finally:
        OpenBLASController.clear_controlling_thread(force=True)


@cache
def _controller(api: str) -> ThreadpoolController:
    """What controls the libraries of a kind, made once: to search for them takes 4 ms, as long as half an answer."""
    return ThreadpoolController().select(user_api=api)


_BLAS = _Blas()
