"""Which requests the log of MLflow's server tells of: those that may change something, and those that go wrong.

The page asks what is in Production every two seconds, and Docker whether the server is well: in the 30 MB that a log
keeps, they would leave less than a day of everything else.
"""

import logging

_REFUSED = (401, 403)
_FAILED = 500


class WorthTelling(logging.Filter):
    """Passes lines of uvicorn's access log: all but looks that were answered, with a 404 where nothing is there yet."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is told; its arguments are client, method, path, version of HTTP, and status."""
        _, method, _, _, status = record.args  # type: ignore[misc]
        return method not in ("GET", "HEAD") or status in _REFUSED or int(status) >= _FAILED  # type: ignore[call-overload]
