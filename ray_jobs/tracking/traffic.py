"""Where a promotion ends: every replica of the webapp that can be asked answers with the new version.

A replica shows a version in `/metrics` once the model has answered its golden pictures there. When all show it, one of
those pictures is sent through the door of each container.
"""

import time
from collections.abc import Sequence
from typing import ClassVar

from features.reading.errors import ImageError
from ray_jobs.runtime.progress import write_line
from ray_jobs.tracking.webapp import NotAskableError, Sight, WebappClient
from registry.errors import FixableError, NoSuchVersionError
from registry.model.bundle import GOLDEN_TOLERANCE, Bundle
from registry.model.versions import ModelVersion, client, set_tags, version_of
from registry.production.promotion import take_back
from registry.settings import Settings

WAIT_S = 120.0
_LOOK_S = 1.0
_TELL_S = 15.0
# A replica tries again within seconds what it refused: a file that arrived broken is no reason to take a version back.
_REFUSED_S = 8.0
_TAG = "traffic"


class NotServedError(FixableError):
    """A version is in Production, and traffic does not have it."""

    exit_code: ClassVar[int] = 3


class RefusedError(NotServedError):
    """Serving refuses a version."""


def bring_into_traffic(settings: Settings, version: ModelVersion, bundle: Bundle) -> str:
    """Wait until traffic has a version that was promoted, and take it back if serving refuses it; says how it went.

    Raises
    ------
    RefusedError
        Saying why, and what is in Production now.
    NotServedError
        If not every replica has it in time; it stays in Production.
    """
    try:
        told = wait_for_traffic(settings, version, bundle)
    except RefusedError as refusal:
        told = _taken_back(settings, version, str(refusal))
        _note(settings, version, told)
        raise RefusedError(told) from None
    except NotServedError as late:
        _note(settings, version, str(late))
        raise
    _note(settings, version, told)
    return told


def wait_for_traffic(settings: Settings, version: ModelVersion, bundle: Bundle, *, seconds: float = WAIT_S) -> str:
    """Wait until every replica that can be asked answers with a version; says how many do, or why none is asked.

    Raises
    ------
    RefusedError
        If a replica refuses the version, and again some seconds later.
    NotServedError
        If not every one has it in time.
    """
    webapp, golden = WebappClient(settings), _golden(bundle)
    begun = told = time.monotonic()
    refused: float | None = None
    count = 0
    while True:
        try:
            sights = webapp.look()
            _check_registry(settings, sights)
        except NotAskableError as error:
            return f"{webapp.url} is not asked: {error}"
        now = time.monotonic()
        if not sights and not count:
            return f"nothing serves at {webapp.url}; what starts there takes what is in Production"
        count = max(count, sum(len(sight.versions) for sight in sights))
        if refusal := _refusal(sights, version):
            refused = refused or now
            if now - refused >= _REFUSED_S:
                raise RefusedError(f"serving at {webapp.url} refuses {version}: {refusal}")
        lacking = _lacking(sights, version) or _wrong_answer(webapp, sights, version, golden)
        if not lacking:
            replicas = sum(len(sight.versions) for sight in sights)
            return f"{version} answers at {webapp.url}; replicas: {replicas}, seconds: {now - begun:.1f}"
        if now - begun > seconds:
            raise NotServedError(
                f"{version} is in Production, but traffic at {webapp.url} does not have it after {seconds:g} s: "
                f"{lacking}. Serving goes on trying; python -m ray_jobs.rollback undoes the promotion"
            )
        if now - told >= _TELL_S:
            told = now
            write_line(f"traffic: {lacking}")
        time.sleep(_LOOK_S)


def _lacking(sights: Sequence[Sight], version: ModelVersion) -> str:
    """Which replicas have another version, and why; empty where none has."""
    replicas = [one for sight in sights for one in sight.versions]
    if not replicas:
        return "nobody answers now"
    others = sorted({one for one in replicas if one != version.version})
    if not others:
        return ""
    have = replicas.count(version.version)
    named = ", ".join(f"version {one}" if one else "no model" for one in others)
    why = next((f" ({sight.failure.get('detail')})" for sight in sights if sight.failure), "")
    return f"{have} of {len(replicas)} replicas have it, the others have {named}{why}"


def _wrong_answer(
    webapp: WebappClient, sights: Sequence[Sight], version: ModelVersion, golden: tuple[bytes, float] | None
) -> str:
    """What is wrong with the answer that an address gives for a golden picture; empty where it is right everywhere."""
    if golden is None:
        return ""
    image, expected = golden
    for sight in sights:
        answer = webapp.answer(sight.address, image)
        if answer is None:
            return f"{sight.address} gives no answer for a golden picture"
        number, probability = answer
        if number != version.version or abs(probability - expected) > GOLDEN_TOLERANCE:
            return f"{sight.address} answers a golden picture with {probability:.4f} by version {number}"
    return ""


def _golden(bundle: Bundle) -> tuple[bytes, float] | None:
    """A golden picture that the model answers however serving is set, and what it answers."""
    for golden in bundle.golden:
        try:
            scored = bundle.score(golden.image)
        except ImageError:  # golden pictures are generated, and a model of real ones may refuse them
            continue
        if not scored.unsure:  # serving that abstains answers nothing there
            return golden.image, scored.probability
    return None


def _refusal(sights: Sequence[Sight], version: ModelVersion) -> str:
    for sight in sights:
        if (sight.failure.get("code"), sight.failure.get("version")) == ("refused", version.version):
            return str(sight.failure.get("detail"))
    return ""


def _check_registry(settings: Settings, sights: Sequence[Sight]) -> None:
    """Raise NotAskableError where what serves is not from this registry."""
    for card in (sight.card for sight in sights if sight.card):
        try:
            ours = (
                card["name"] == settings.model_name and version_of(settings, card["version"]).digest == card["digest"]
            )
        except NoSuchVersionError:
            ours = False
        if not ours:
            raise NotAskableError(f"it serves {card['name']} version {card['version']} of another registry")


def _taken_back(settings: Settings, version: ModelVersion, refusal: str) -> str:
    """Take a version back that serving refuses; says what came of it."""
    try:
        change = take_back(settings, version, why=refusal)
    except FixableError as error:
        return f"{refusal}. It could not be taken back: {error}"
    if change.to_version is None:
        return f"{refusal}. It was taken back, and nothing is in Production, as before it"
    return f"{refusal}. It was taken back, and version {change.to_version} is in Production again"


def _note(settings: Settings, version: ModelVersion, result: str) -> None:
    set_tags(settings, version, {_TAG: result})
    if version.run_id:
        client(settings).set_tag(version.run_id, _TAG, result)
