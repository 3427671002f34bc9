"""The search for secrets in images finds one wherever it stands."""

import gzip
import io
import tarfile

from tests.infra.support.layers import found_in

SECRET = b"0123456789abcdef" * 3


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as target:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def test_a_secret_in_a_file_of_a_layer_or_in_the_description_is_found_and_nothing_else():
    across = b"x" * (8 * 2**20 - 512 - 20) + SECRET  # over the end of the first chunk that is read
    saved = archive(
        {
            "blobs/plain": archive({"app/settings": b"token=" + SECRET}),
            "blobs/compressed": gzip.compress(archive({"root/.netrc": SECRET})),
            "blobs/large": archive({"data": across}),
            "blobs/clean": archive({"app/code.py": b"print('no secret here')"}),
            "config.json": b'{"Env":["TOKEN=' + SECRET + b'"]}',
        }
    )
    assert list(found_in(io.BytesIO(saved), [b"another value", SECRET])) == [
        *("blobs/plain", "blobs/compressed", "blobs/large", "config.json")
    ]
    assert list(found_in(io.BytesIO(saved), [b"another value"])) == []
