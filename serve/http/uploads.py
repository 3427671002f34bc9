"""The pictures in a request: a raw body, or the parts named `file` of a multipart form. Nothing touches the disk."""

from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from serve.http.headers import media_type_of
from serve.http.limits import RequestLimits
from serve.http.problems import ProblemError

RAW_TYPES = ("image/jpeg", "image/png", "application/dicom", "application/octet-stream")
_FORM = "multipart/form-data"
_LONGEST_NAME = 255
_FIELDS = 16
_LONGEST_FIELD = 40


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The bytes of one picture as the client sent them, and the name that it gave them."""

    data: bytes
    filename: str | None


async def read_pictures(request: Request, limits: RequestLimits) -> list[Picture]:
    """Every picture of a request, in order, at least one.

    Raises
    ------
    ProblemError
        `unsupported-media-type`, `malformed-form`, `no-file` or `too-many-files`.
    """
    media_type = media_type_of(request.headers)
    if media_type in RAW_TYPES:
        return [Picture(data=await request.body(), filename=None)]
    if media_type == _FORM:
        return await _from_form(request, limits)
    raise ProblemError(
        "unsupported-media-type",
        f"Content-Type is {media_type or 'missing'}; send {_FORM} with a part named 'file', or the picture itself as "
        f"one of {', '.join(RAW_TYPES)}.",
    )


async def _from_form(request: Request, limits: RequestLimits) -> list[Picture]:
    class InMemory(MultiPartParser):
        spool_max_size = limits.body_bytes + 1  # the default writes pictures beyond 1 MiB to a file

    parser = InMemory(request.headers, request.stream(), max_files=limits.files, max_fields=_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise ProblemError(
                "too-many-files", f"At most {limits.files} pictures are taken in one request."
            ) from error
        raise _malformed() from error
    except (ValueError, KeyError, AttributeError) as error:  # what the parser raises on forms cut in the wrong place
        raise _malformed() from error
    try:
        parts = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
        if not parts:
            raise ProblemError("no-file", _instead(form))
        return [Picture(data=await part.read(), filename=_plain(part.filename)) for part in parts]
    finally:
        await form.close()


def _instead(form: FormData) -> str:
    """What a form without a picture holds, and what it should."""
    if "file" in form:
        return "The part 'file' is text and no file; with curl, an @ stands before the file's name: -F file=@xray.jpeg"
    names = ", ".join(repr(name[:_LONGEST_FIELD]) for name in list(form)[:_FIELDS])
    has = f"it has {names}" if names else "it is empty"
    return f"The form has no file under the name 'file'; {has}. Choose a picture and send it as 'file'."


def _malformed() -> ProblemError:
    # The parser's own words quote bytes of the form.
    return ProblemError(
        "malformed-form",
        "The multipart form is cut short, or a header in it is not valid or too long; send it again, whole, and with a "
        "shorter file name.",
    )


def _plain(filename: str | None) -> str:
    """A client's file name without control characters and of bounded length; it is only ever shown, never opened."""
    printable = "".join(character for character in filename or "" if character.isprintable())
    return printable[-_LONGEST_NAME:]
