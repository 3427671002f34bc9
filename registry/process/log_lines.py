"""The lines of a process's log: JSON for machines or text for people, ours and those of the libraries alike."""

import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

Format = Literal["json", "text"]
_ENCODER = json.JSONEncoder(default=str)  # `json.dumps` would make one for each line
# Each of them writes its own lines to standard error, in a form of its own, once it is imported.
_LOUD = ("mlflow", "alembic", "sqlalchemy.engine", "huey", "ray")


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, the fields of `extra`, and an error's trace."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


class TextLines(logging.Formatter):
    """A line for people; the fields follow the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        fields = " ".join(f"{name}={value}" for name, value in getattr(record, "fields", {}).items())
        return f"{text} {fields}".rstrip() if fields else text


def formatter(form: Format) -> logging.Formatter:
    """What writes lines of a format."""
    return JsonLines() if form == "json" else TextLines()


def take_the_log(handler: logging.Handler) -> None:
    """Let one handler write all that this process logs from WARNING on: also Python's warnings, errors that nobody
    caught, and what libraries would write themselves. `take_from_libraries` again after one of them is imported.
    """
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error
    sys.excepthook = _log_error if isinstance(handler.formatter, JsonLines) else sys.__excepthook__
    take_from_libraries()


def take_from_libraries() -> None:
    """Let what libraries log go where this process's log goes, from the same level on."""
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"  # for an MLflow that is imported later
    for name in _LOUD:
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
        library.setLevel(logging.WARNING)


def is_json() -> bool:
    """Whether this process's log is JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def _log_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("errors").critical("The process ends with an error.", exc_info=(kind, error, trace))


def _log_thread_error(error: threading.ExceptHookArgs) -> None:
    if error.exc_value is not None:  # as the interpreter ends there may be none
        name = error.thread.name if error.thread else "of unknown name"
        trace = (error.exc_type, error.exc_value, error.exc_traceback)
        logging.getLogger("errors").error("Thread %s ended with an error.", name, exc_info=trace)
