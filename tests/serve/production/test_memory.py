"""How much memory a second model may take, from what Linux says of the container and of the machine."""

from pathlib import Path

import pytest

from registry.errors import ArtefactError
from serve.production.memory import check_memory, free_memory

MIB = 2**20


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    file = tmp_path / "meminfo"
    file.write_text(f"MemTotal: {8 * 1024 * 1024} kB\nMemAvailable: {600 * 1024} kB\n")
    return file


def group(folder: Path, most: str) -> Path:
    (folder / "memory.max").write_text(most)
    (folder / "memory.current").write_text(str(900 * MIB))
    (folder / "memory.stat").write_text(f"anon {700 * MIB}\ninactive_file {100 * MIB}\n")
    return folder


def test_the_limit_of_the_container_counts_without_what_can_be_given_back(tmp_path: Path, machine: Path) -> None:
    inside = group(tmp_path, str(1000 * MIB))
    assert free_memory(group=inside, machine=machine) == 200 * MIB
    with pytest.raises(ArtefactError, match=r"200 MiB of memory are free.*only where 256 MiB are"):
        check_memory(group=inside, machine=machine)
    check_memory(200 * MIB, group=inside, machine=machine)


def test_without_a_limit_the_machine_counts_and_without_either_nothing_is_known(tmp_path: Path, machine: Path) -> None:
    assert free_memory(group=group(tmp_path, "max"), machine=machine) == 600 * MIB
    assert free_memory(group=tmp_path / "nowhere", machine=tmp_path / "nothing") is None
    check_memory(group=tmp_path / "nowhere", machine=tmp_path / "nothing")
