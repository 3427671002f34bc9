"""The secret files of the stack on this machine: made once, readable in containers, and never changed again."""

import ast
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.lower import lower
from infra.local.secrets import all_secrets, derived, write_files
from infra.secrets import generate, setting
from infra.settings import ROOT
from infra.topology import topology

SOURCE, SPELT = "object-store-password", "object-store-credentials"


def test_a_secret_is_192_random_bits_in_characters_that_need_no_quoting():
    first, second = generate(), generate()
    assert first != second
    assert len(first) == 48
    assert set(first) <= set("0123456789abcdef")


@pytest.mark.parametrize(("version", "fits"), [((3, 9), False), ((2, 7), False), ((3, 10), True)])
def test_make_secrets_says_in_one_sentence_which_python_it_needs(tmp_path: Path, version: tuple[int, int], fits: bool):
    """By a Python that says it is another one, and reaches the work only where the check lets it."""
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport sys\nsys.version_info = {(*version, 1)}\n"
        'exec(sys.argv[2]) if sys.argv[1] == "-c" else print("the work")\n'
    )
    python.chmod(0o755)
    command = ["make", "--no-print-directory", "secrets", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode == 0, done.stdout) == ((True, "the work\n") if fits else (False, ""))
    found = f"Python {version[0]}.{version[1]} found, 3.10 or newer needed: make secrets PYTHON=/path/to/python3.11"
    assert done.stderr.splitlines()[:1] == ([] if fits else [found])


def test_what_looks_at_the_python_is_read_by_an_old_one():
    checks = re.findall(r"-c '(import sys; v = .+)'$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(checks) == 2
    for check in checks:
        assert not [node for node in ast.walk(ast.parse(check)) if isinstance(node, ast.JoinedStr | ast.NamedExpr)]


def test_every_file_is_written_once_and_then_left_alone(tmp_path: Path):
    names = ("ray-token", "database-password")
    assert sorted(write_files(tmp_path / "secrets", names)) == ["database-password", "ray-token"]
    before = {file.name: (file.read_text(), file.stat().st_ino) for file in (tmp_path / "secrets").iterdir()}
    assert write_files(tmp_path / "secrets", names) == []
    assert {file.name: (file.read_text(), file.stat().st_ino) for file in (tmp_path / "secrets").iterdir()} == before
    assert before.keys() == set(names)
    assert before["ray-token"][0] != before["database-password"][0]


def test_only_what_is_missing_is_written(tmp_path: Path):
    (tmp_path / "ray-token").write_text("mine")
    assert write_files(tmp_path, ("ray-token", "jupyter-token")) == ["jupyter-token"]
    assert (tmp_path / "ray-token").read_text() == "mine"


def test_the_folder_is_ours_alone_and_the_files_are_for_the_users_of_containers(tmp_path: Path):
    folder = tmp_path / "deep" / "secrets"
    write_files(folder, ("ray-token",))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "ray-token").stat().st_mode) == 0o444


def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path):
    tmp_path.chmod(0o755)
    write_files(tmp_path, ())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.parametrize("names", [(SOURCE, SPELT), (SPELT, SOURCE)], ids=["source first", "source last"])
def test_the_credentials_spell_the_password_in_whichever_order_they_are_asked_for(tmp_path: Path, names):
    write_files(tmp_path, names)
    password = (tmp_path / SOURCE).read_text()
    assert (tmp_path / SPELT).read_text() == (
        f"[default]\naws_access_key_id = hm-mlflow\naws_secret_access_key = {password}\n"
    )


def test_the_credentials_follow_a_password_that_was_changed(tmp_path: Path):
    write_files(tmp_path, (SOURCE, SPELT))
    (tmp_path / SOURCE).unlink()
    (tmp_path / SOURCE).write_text("another")
    assert write_files(tmp_path, (SOURCE, SPELT)) == [SPELT]
    assert "aws_secret_access_key = another\n" in (tmp_path / SPELT).read_text()
    assert write_files(tmp_path, (SOURCE, SPELT)) == []


def test_only_the_credentials_are_made_from_another_secret():
    names = lower(topology(login=True, keys=True)).secrets
    assert {name: made[0] for name in names if (made := derived(name))} == {SPELT: SOURCE}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ray-token", "rayToken"),
        ("object-store-password", "objectStorePassword"),
        ("mlflow-admin-password", "mlflowAdminPassword"),
        ("token", "token"),
    ],
)
def test_a_secret_s_name_gives_the_name_of_its_setting(name: str, expected: str):
    assert setting(name) == expected


def test_no_two_secrets_have_one_setting():
    names = lower(topology(login=True, keys=True)).secrets
    assert len({setting(name) for name in names}) == len(names)


def test_they_are_made_once_by_python_without_any_package(tmp_path: Path):
    shutil.copytree(ROOT / "pulumi", tmp_path / "pulumi", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-B", "-S", "-m", "infra.local.secrets"]
    first, second = (
        subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": "pulumi"}, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert first.stdout.startswith("Wrote ")
    assert second.stdout == "All secrets are there already.\n"
    assert {file.name for file in (tmp_path / "compose" / "secrets").iterdir()} == set(all_secrets())
