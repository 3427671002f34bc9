"""The images: which user each runs as, and the tag that follows their content."""

import re
from pathlib import Path

from infra.aws.data.images import tag
from infra.local import stores
from infra.settings import ROOT
from infra.topology import IMAGES


def test_every_image_has_the_user_that_its_dockerfile_makes():
    for image in (*IMAGES, *stores.IMAGES):
        if not image.public:
            made = (ROOT / "compose" / "images" / image.dockerfile).read_text()
            stage = made.split(f" AS {image.target}")[-1] if image.target else made
            assert int(re.search(r"useradd --uid (\d+)", stage)[1]) == image.user, image.name


def test_a_tag_follows_the_content_of_the_image_and_the_commit(tmp_path: Path):
    image = IMAGES[0]
    folder = tmp_path / "compose" / "images"
    folder.mkdir(parents=True)
    (folder / image.dockerfile).write_text("FROM scratch")
    (folder / f"{image.dockerfile}.dockerignore").write_text("*\n!code\n**/__pycache__\n")
    (tmp_path / "code" / "__pycache__").mkdir(parents=True)
    (tmp_path / "code" / "a.py").write_text("a")
    (tmp_path / "other").write_text("not seen by the build")

    def now(commit: str = "0123456789abcdef") -> str:
        return tag(image, commit, root=tmp_path)

    first = now()
    assert tag(image, "0123456789abcdef", "linux/arm64", tmp_path) != first
    (tmp_path / "other").write_text("another")
    (tmp_path / "code" / "__pycache__" / "a.pyc").write_text("compiled")
    assert now() == first
    assert first.startswith("0123456789ab-")
    assert now("fedcba9876543210") != first
    (tmp_path / "code" / "a.py").write_text("b")
    second = now()
    (folder / image.dockerfile).write_text("FROM other")
    assert len({first, second, now()}) == 3
