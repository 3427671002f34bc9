"""A simulated AWS that keeps what it was asked, and by whom: which action of IAM on which resource."""

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.server import MotoRequestHandler
from werkzeug.serving import make_server

_NO_SUCH_KEY = 404
# "No permissions are required to perform this operation": everyone may ask who they are.
_ALWAYS_ALLOWED = {"sts:GetCallerIdentity"}
# What a call names, by its service: the field of its JSON that says it.
_NAMED_BY = {"secretsmanager": "SecretId", "sagemaker": "NotebookInstanceName"}


@dataclass(frozen=True, order=True)
class Call:
    """An action of IAM, such as `s3:GetObject`, on a resource: an ARN, or for other services than S3 what was named."""

    action: str
    resource: str


@dataclass
class RecordingAws:
    """The address of a simulated AWS, and the calls of each caller, who is known by the id of the access key."""

    address: str = ""
    calls: dict[str, set[Call]] = field(default_factory=dict)

    def of(self, caller: str) -> set[Call]:
        return self.calls.get(caller, set())


@contextmanager
def recording_aws() -> Iterator[RecordingAws]:
    """A simulated AWS on a free port of this machine."""
    aws, inner = RecordingAws(), DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        caller, service = _signed(environ.get("HTTP_AUTHORIZATION", ""))
        body = b""
        if caller and _body_says_what(environ, service):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)

        def answered(status: str, *rest: Any) -> Any:
            if caller:
                found = _asked(service, environ, body, int(status[:3]))
                aws.calls.setdefault(caller, set()).update(found)
            return start_response(status, *rest)

        return inner(environ, answered)

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    aws.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield aws
    finally:
        server.shutdown()
        thread.join()


def _signed(authorization: str) -> tuple[str, str]:
    """Who signed a request, and for which service: `… Credential=ID/DATE/REGION/SERVICE/aws4_request, …`."""
    _, there, rest = authorization.partition("Credential=")
    if not there:
        return "", ""
    caller, _, _, service, *_ = rest.split(",")[0].split("/")
    return caller, service


def _body_says_what(environ: dict[str, Any], service: str) -> bool:
    deletes = "delete" in parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    return deletes or "HTTP_X_AMZ_TARGET" in environ or service == "sts"


def _asked(service: str, environ: dict[str, Any], body: bytes, status: int) -> set[Call]:
    if service == "s3":
        return of_s3(environ, body, status)
    return of_sts(body) if service == "sts" else of_json(service, environ, body)


def of_s3(environ: dict[str, Any], body: bytes, status: int) -> set[Call]:
    """What IAM asks for a request to S3: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html."""
    method = environ["REQUEST_METHOD"]
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    if not bucket:
        return {Call("s3:ListAllMyBuckets", "*")}
    arn = f"arn:aws:s3:::{bucket}"
    if not key:
        if method == "POST" and "delete" in query:
            keys = [element.text for element in ElementTree.fromstring(body).iter() if element.tag.endswith("Key")]
            return {Call("s3:DeleteObject", f"{arn}/{name}") for name in keys}
        special = {"location": "s3:GetBucketLocation", "uploads": "s3:ListBucketMultipartUploads"}
        for name, action in special.items():
            if name in query:
                return {Call(action, arn)}
        return {Call({"GET": "s3:ListBucket", "HEAD": "s3:ListBucket"}.get(method, f"s3:{method} of a bucket"), arn)}
    thing = f"{arn}/{key}"
    if method in ("GET", "HEAD"):
        if "uploadId" in query:
            return {Call("s3:ListMultipartUploadParts", thing)}
        # Who may not list is told 403 of a key that is not there, instead of 404.
        missing = {Call("s3:ListBucket", arn)} if status == _NO_SUCH_KEY else set()
        return missing | {Call("s3:GetObject", thing)}
    if method == "DELETE":
        return {Call("s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject", thing)}
    copied = unquote(environ.get("HTTP_X_AMZ_COPY_SOURCE", "")).lstrip("/").partition("?")[0]
    read = {Call("s3:GetObject", f"arn:aws:s3:::{copied}")} if copied else set()
    return read | {Call("s3:PutObject", thing)}


def of_sts(body: bytes) -> set[Call]:
    """What IAM asks for a request to STS, which takes a form."""
    return {Call(f"sts:{operation}", "*") for operation in parse_qs(body.decode())["Action"]}


def of_json(service: str, environ: dict[str, Any], body: bytes) -> set[Call]:
    """What IAM asks for a request to a service that speaks JSON; of another, an action that no policy allows."""
    operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2] or f"{environ['REQUEST_METHOD']} of something"
    named = json.loads(body or b"{}").get(_NAMED_BY.get(service, ""), "*")
    return {Call(f"{service}:{operation}", named)}


def refused(statements: list[dict[str, Any]], calls: Iterable[Call]) -> list[Call]:
    """The calls that the statements of a role's policy do not allow."""

    def allowed(call: Call) -> bool:
        return any(
            call.action in statement["Action"]
            and any(fnmatchcase(call.resource, pattern) for pattern in statement["Resource"])
            for statement in statements
        )

    calls = {call for call in calls if call.action not in _ALWAYS_ALLOWED}
    assert all(statement["Effect"] == "Allow" and "Condition" not in statement for statement in statements)
    return sorted(call for call in calls if not allowed(call))
