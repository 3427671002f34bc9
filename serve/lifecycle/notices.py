"""What `python -m serve` tells the person who started it: a block that stands out in a terminal, or lines of JSON."""

import logging
import sys

from registry.process.log_lines import Format

log = logging.getLogger("serve")

_RULE = "─" * 72


def starting(form: Format, *, training: bool) -> None:
    """The first notice: what comes next takes some seconds, or waits for a training."""
    then = "It answers once the training has a model." if training else "This takes some seconds."
    _tell(form, f"Starting Ray and the server. {then}")


def serving(form: Format, *, page: str, mlflow: str, model: str) -> None:
    """Where everything is, and which version answers or why none does."""
    if form == "json":
        log.info("Serving at %s.", page, extra={"fields": {"page": page, "mlflow": mlflow, "model": model}})
        return
    lines = [
        f"Page    {page}",
        f"API     {page}/docs",
        f"MLflow  {mlflow}",
        f"Model   {model}",
        "",
        "Ctrl-C stops it.",
    ]
    print("\n".join(["", _RULE, *(f"  {line}".rstrip() for line in lines), _RULE, ""]), flush=True)


def stopping(form: Format) -> None:
    """The last notice: requests that were let in are answered first."""
    _tell(form, "Stopping. Requests that are under way are answered first.")


def failed(form: Format, why: str) -> None:
    """Why the server does not start."""
    if form == "json":
        log.error("%s", why)
    else:
        print(why, file=sys.stderr)


def _tell(form: Format, text: str) -> None:
    if form == "json":
        log.info("%s", text)
    else:
        print(text, flush=True)
