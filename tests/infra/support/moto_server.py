"""A simulated AWS in a process of its own: `moto_server.py TOOL` prints its address, and ends with its standard input.

The simulation answers in threads and guards nothing by locks, so that two calls at once can spoil one another's answer;
the provider then asks again for what it has already been given, and is refused as a duplicate. Here it answers one call
at a time, and a call that is repeated gets the answer of the first.
"""

import sys
import threading
from typing import Any

from moto.moto_server import threaded_moto_server

_KEPT = 200  # a client repeats a call within seconds


class OneAtATime(threaded_moto_server.DomainDispatcherApplication):
    """moto's WSGI application behind a lock, with a memory by the id that AWS's clients give a call and its retries."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lock_of_all = threading.Lock()
        self._answers: dict[str, tuple[tuple[Any, ...], list[bytes]]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        with self._lock_of_all:
            if call in self._answers:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                head, body = self._answers[call]
            else:
                head = ()

                def remember(*given: Any) -> None:
                    nonlocal head
                    head = given

                body = list(super().__call__(environ, remember))
                if call and not head[0].startswith("5"):
                    self._answers[call] = head, body
                    if len(self._answers) > _KEPT:
                        del self._answers[next(iter(self._answers))]
        start_response(*head)
        return body


def main() -> None:
    """Serve until whoever started it lets go of it, or has ended."""
    sys.path.insert(0, sys.argv[1])
    threaded_moto_server.DomainDispatcherApplication = OneAtATime
    import simulate

    print(simulate.start_moto(), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
