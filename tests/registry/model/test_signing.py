"""Signed versions on a real registry: what is signed is loaded; twenty ways to change it are refused, each by name."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ray_jobs import sign as sign_job
from registry.errors import ArtefactError
from registry.model.bundle import digest_of
from registry.model.signing import SIGNATURE_TAG, sign, try_keys
from registry.model.verified_cache import VerifiedCache
from registry.model.versions import DIGEST_TAG, ModelVersion, fetch, register, set_tags, tags_of, version_of
from registry.settings import Settings, SettingsError
from tests.conftest import new_run

FOREIGN = "is not one of its name, run and digest"


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    """A private and a public key on a curve, as openssl writes them."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def signed(settings: Settings, tmp_path: Path) -> Settings:
    """Settings that sign and that trust nothing else."""
    private, public = key_pair(tmp_path, "team")
    return settings.model_copy(update={"signing_key": private, "trusted_key": public})


@pytest.fixture
def add(signed: Settings, tmp_path: Path, make_bundle) -> Callable[..., ModelVersion]:
    def add(*, settings: Settings = signed, threshold: float = 0.5) -> ModelVersion:
        folder = tmp_path / f"bundle-{threshold}"
        shutil.rmtree(folder, ignore_errors=True)
        make_bundle(folder, threshold=threshold)
        return register(settings, run_id=new_run(settings, tmp_path), bundle_folder=folder)

    return add


def files_of(version: ModelVersion) -> Path:
    return Path(version.source.removeprefix("file://")) / "artifacts" / "bundle"


def test_what_the_team_signed_is_loaded_and_a_copy_on_disk_as_well(signed, add, tmp_path):
    version = add()
    assert fetch(signed, version, tmp_path / "got").threshold == 0.5
    cache = VerifiedCache(signed, tmp_path / "cache")
    cache.obtain(version)
    found = cache.recall()
    assert found
    assert found[0] == version


def rewritten(change: Callable[[Path], object]) -> Callable[[Settings, ModelVersion], None]:
    """Change files as somebody would who can also write the digest that fits them."""

    def attack(settings: Settings, version: ModelVersion) -> None:
        change(files_of(version))
        set_tags(settings, version, {DIGEST_TAG: digest_of(files_of(version))})

    return attack


def flip(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return change


def card(**fields: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        found = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps(found | fields))

    return change


def signature(change: Callable[[dict], object]) -> Callable[[Settings, ModelVersion], None]:
    """Change the signature itself."""

    def attack(settings: Settings, version: ModelVersion) -> None:
        document = json.loads(version.signature)
        change(document)
        set_tags(settings, version, {SIGNATURE_TAG: json.dumps(document)})

    return attack


TAMPERINGS: dict[str, Callable[[Settings, ModelVersion], object]] = {
    "the estimator": rewritten(flip("estimator.skops")),
    "the estimator cut short": rewritten(lambda folder: (folder / "estimator.skops").write_bytes(b"PK")),
    "the detector": rewritten(flip("scope.npz")),
    "the threshold": rewritten(card(threshold=0.01)),
    "the numbers": rewritten(card(evaluation={})),
    "what is unsure": rewritten(card(unsure=[0.0, 0.0])),
    "the card to read": rewritten(lambda folder: (folder / "card.md").write_text("perfect")),
    "a golden picture": rewritten(flip("golden/00")),
    "a golden picture removed": rewritten(lambda folder: (folder / "golden" / "02").unlink()),
    "the card to read removed": rewritten(lambda folder: (folder / "card.md").unlink()),
    "a file added": rewritten(lambda folder: (folder / "sitecustomize.py").write_text("print(1)")),
    "a file renamed": rewritten(lambda folder: (folder / "card.md").rename(folder / "readme.md")),
    "the digest alone": lambda settings, version: set_tags(settings, version, {DIGEST_TAG: "0" * 64}),
    "the payload": signature(lambda found: found["dsseEnvelope"].update(payload="e30=")),
    "the bytes of the signature": signature(
        lambda found: found["dsseEnvelope"]["signatures"][0].update(sig="MEUCIQDx" + "A" * 86 + "==")
    ),
    "no signature in the envelope": signature(lambda found: found["dsseEnvelope"].update(signatures=[])),
    "an empty document": signature(dict.clear),
    "no document": lambda settings, version: set_tags(settings, version, {SIGNATURE_TAG: "signed"}),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_was_changed_after_it_was_signed_is_refused(name: str, signed, add, tmp_path):
    version = add()
    TAMPERINGS[name](signed, version)
    with pytest.raises(ArtefactError, match=rf"version 1 is refused: .*{FOREIGN}"):
        fetch(signed, version_of(signed, 1), tmp_path / "got")


def test_the_signature_of_another_run_and_one_by_another_key_are_refused(signed, add, tmp_path):
    older, newer = add(threshold=0.5), add(threshold=0.6)
    replayed = replace(newer, source=older.source, digest=older.digest, signature=older.signature)
    stranger, _ = key_pair(tmp_path, "stranger")
    mine = signed.model_copy(update={"signing_key": stranger})
    forged = sign(mine, name=newer.name, run_id=newer.run_id, digest=newer.digest)
    for version in (replayed, replace(newer, signature=forged)):
        with pytest.raises(ArtefactError, match=FOREIGN):
            fetch(signed, version, tmp_path / "got")


def test_an_unsigned_version_is_refused_until_it_is_signed_and_a_copy_of_it_on_disk_as_well(
    settings, signed, add, tmp_path, monkeypatch, capsys
):
    version = add(settings=settings)
    VerifiedCache(settings, tmp_path / "cache").obtain(version)
    with pytest.raises(ArtefactError, match="is not signed"):
        fetch(signed, version, tmp_path / "got")
    assert VerifiedCache(signed, tmp_path / "cache").recall() is None
    for name, value in (("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri), ("STATE_URI", settings.state_uri)):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["sign", "1"])
    with pytest.raises(SystemExit, match="2"):
        sign_job.main()
    assert "SIGNING_KEY is not set" in capsys.readouterr().err
    monkeypatch.setenv("SIGNING_KEY", str(signed.signing_key))
    sign_job.main()
    assert "pneumonia version 1 is signed" in capsys.readouterr().out
    assert tags_of(settings, version)[SIGNATURE_TAG]
    assert fetch(signed, version_of(signed, 1), tmp_path / "got").threshold == 0.5


def test_a_key_that_cannot_be_used_is_named_before_any_work(settings, tmp_path):
    other = tmp_path / "rsa.pem"
    key = rsa.generate_private_key(65537, 2048)
    other.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "text").write_text("secret")
    private, _ = key_pair(tmp_path, "team")
    wrong = [
        (name, file) for name in ("signing_key", "trusted_key") for file in (other, tmp_path / "text", tmp_path / "no")
    ]
    for name, file in [*wrong, ("trusted_key", private)]:
        with pytest.raises(SettingsError, match=name.upper()) as error:
            try_keys(settings.model_copy(update={name: file}))
        assert "secret" not in str(error.value)
