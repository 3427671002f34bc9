"""The problems that a proxy in front of the replicas sends in their place, in the form that they would send."""

from starlette.responses import Response

from serve.http.headers import in_place_of_a_replica
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
    return respond(problem(code, _DETAILS[code], request_id=request_id), in_place_of_a_replica(request_id))
