"""Versions signed by a team's key: OpenSSF model signing over what a version is, checked offline before it is read.

What is signed is a statement of the model's name, the run and the digest of the files. So a signature holds for this
version only, and whoever can write to MLflow and its store, but lacks the key, cannot make serving load other files.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from registry.errors import ArtefactError
from registry.settings import Settings, SettingsError

SIGNATURE_TAG = "signature"
_STATEMENT = "version.json"


def try_keys(settings: Settings) -> None:
    """Read the keys that the settings name, so that a wrong one is told before any work; raises SettingsError."""
    if settings.signing_key is not None:
        _signer(settings.signing_key)
    if settings.trusted_key is not None:
        _verifier(settings.trusted_key)


def sign(settings: Settings, *, name: str, run_id: str, digest: str) -> str | None:
    """The signature of a version by the private key that SIGNING_KEY names, as JSON; None where the setting is absent.

    Raises SettingsError if the key cannot be read, or is no private key on an elliptic curve.
    """
    if settings.signing_key is None:
        return None
    signer = _signer(settings.signing_key)
    with _statement(name=name, run_id=run_id, digest=digest) as (statement, signature):
        signer.sign(statement, signature)
        return signature.read_text()


def check_signature(settings: Settings, *, name: str, run_id: str, digest: str, signature: str) -> None:
    """Refuse a version that the owner of TRUSTED_KEY has not signed; without the setting, nothing is checked.

    Raises
    ------
    ArtefactError
        Saying whether there is no signature, or one of something or somebody else.
    SettingsError
        If the key cannot be read.
    """
    if settings.trusted_key is None:
        return
    if not signature:
        raise ArtefactError(
            "it is not signed, and TRUSTED_KEY asks for a signature; sign it with python -m ray_jobs.sign, where the "
            "private key is"
        )
    trusted = _verifier(settings.trusted_key)
    with _statement(name=name, run_id=run_id, digest=digest) as (statement, file):
        file.write_text(signature)
        try:
            trusted.verify(statement, file)
        except Exception as error:  # whatever a forged signature meets inside the library, it is refused
            raise ArtefactError(
                "its signature is not one of its name, run and digest by the key that TRUSTED_KEY names, so somebody "
                "else wrote or changed it; train a version where the private key is"
            ) from error


def _signer(key: Path) -> Any:
    from model_signing import signing  # noqa: PLC0415  most jobs sign nothing, and it takes most of a second

    try:
        return signing.Config().use_elliptic_key_signer(private_key=key)
    except Exception as error:  # for a key of another kind, the library's own AttributeError
        raise SettingsError(
            f"SIGNING_KEY is {str(key)!r}, with which nothing can be signed: {_brief(error)}. Name a file with a "
            "private key: openssl ecparam -name prime256v1 -genkey -noout -out FILE"
        ) from error


def _verifier(key: Path) -> Any:
    from model_signing import verifying  # noqa: PLC0415  as above

    try:
        return verifying.Config().use_elliptic_key_verifier(public_key=key)
    except Exception as error:
        raise SettingsError(
            f"TRUSTED_KEY is {str(key)!r}, which is no public key: {_brief(error)}. Name the file that openssl ec -in "
            "SIGNING_KEY -pubout -out FILE wrote"
        ) from error


@contextmanager
def _statement(*, name: str, run_id: str, digest: str) -> Iterator[tuple[Path, Path]]:
    """A folder with what is signed, and the file for its signature beside it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "statement"
        folder.mkdir()
        document = {"model": name, "run_id": run_id, "digest": digest}
        (folder / _STATEMENT).write_text(json.dumps(document, sort_keys=True))
        yield folder, Path(scratch) / "signature"


def _brief(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")
