"""State wherever it may be kept."""

from pathlib import Path

import pytest

from registry.state import State, open_state


@pytest.fixture(params=["folder", "bucket"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> State:
    """An empty state in a folder, and once more in a bucket of a real S3 server."""
    if request.param == "folder":
        return open_state(str(tmp_path / "state"))
    return open_state(f"s3://{request.getfixturevalue('bucket')}/some/where")
