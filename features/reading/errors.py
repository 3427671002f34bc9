"""What can be wrong with an uploaded image, and the HTTP status that says so."""

from typing import ClassVar, Literal

Reason = Literal["blank", "coloured", "inverted", "sideways", "upside-down", "no-lungs", "unlike-training"]

# What is refused so is no X-ray, whatever a model has learnt from.
NEVER_XRAYS: frozenset[Reason] = frozenset({"blank", "coloured"})


class ImageError(ValueError):
    """The bytes cannot become a feature vector; the message says why and what would help.

    ``status`` is the HTTP status a server answers, ``code`` a stable kebab-case name for it; ``reason`` names more
    closely what is wrong, where one kind of error has several.
    """

    status: ClassVar[int] = 422
    code: ClassVar[str] = "image-error"
    reason: Reason | None = None


class ImageTooLarge(ImageError):
    """More bytes, or more pixels announced in the header, than the limits allow."""

    status = 413
    code = "image-too-large"


class UnsupportedImage(ImageError):
    """Not a JPEG, PNG or DICOM file, or a kind of one that is not taken."""

    status = 415
    code = "unsupported-image"


class UndecodableImage(ImageError):
    """Of a kind that is taken, but empty, truncated, corrupt or without a usable picture."""

    status = 422
    code = "undecodable-image"


class NotAChestXray(ImageError):
    """A sound picture, but not one that a model of chest X-rays has anything to say about."""

    status = 422
    code = "not-a-chest-xray"

    def __init__(self, detail: str, reason: Reason) -> None:
        super().__init__(detail)
        self.reason = reason
