"""The problems that a proxy in front of the replicas sends in their place, in the form that they would send."""

from starlette.responses import Response

from serve.http.headers import NO_STORE, REQUEST_ID_HEADER, SAFE
from serve.http.problems import problem, respond

NO_REPLICA = "no-replica"
PAGE = "text/html"  # what a browser accepts that wants to show a page
_DETAILS = {
    "busy": "More requests arrive than can be answered. Try again shortly.",
    NO_REPLICA: "No replica is there to answer, or the replica ended before it answered. Try again shortly.",
}
SHED = _DETAILS["busy"]


def refusal(code: str, *, request_id: str = "") -> Response:
    """A problem with the headers that every answer of a replica has."""
    headers = {"Cache-Control": NO_STORE, **SAFE} | ({REQUEST_ID_HEADER: request_id} if request_id else {})
    return respond(problem(code, _DETAILS[code], request_id=request_id), headers)
