"""What `make sbom` and `make audit` find, on the lock as it is and where something is wrong."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.commands import supply
from infra.local.lower import lower
from infra.settings import ROOT
from infra.topology import topology

ADVISORY = {
    "id": "GHSA-xxxx-yyyy-zzzz",
    "aliases": ["CVE-2026-0001"],
    "summary": "Made for this test",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "pydicom"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.0"}]}],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """OSV's API, with one advisory."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = {"vulns": [ADVISORY]} if asked["package"]["name"] == "pydicom" else {}
        content = json.dumps(known).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of this folder before all others; docker knows one image."""
    folder = tmp_path / "bin"
    folder.mkdir()
    put(folder, "docker", '[ "$3" = hm-mlflow/webapp ]')
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def put(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def lock(folder: Path, *names: str) -> Path:
    """A folder with those packages of the lock, digests and all."""
    entries = re.findall(r"^\S.*?(?=^\S|\Z)", (ROOT / supply.LOCK).read_text(), re.MULTILINE | re.DOTALL)
    (folder / supply.LOCK).write_text("".join(entry for entry in entries if entry.startswith(names)))
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return folder


def test_the_bill_of_the_lock_names_every_package_with_its_version_and_digests(tmp_path: Path):
    account = supply.list_parts(ROOT, tmp_path, [])
    assert (account.exit_code, account.lacking) == (0, [])
    bill = json.loads((tmp_path / "requirements.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "hm-mlflow"
    listed = {(part["name"].lower(), part["version"]): part for part in bill["components"]}
    locked = re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^\s;]+)", (ROOT / supply.LOCK).read_text(), re.MULTILINE)
    assert len(locked) > 200
    assert {(name.lower(), version) for name, version in locked} == set(listed)
    assert all(part["externalReferences"][0]["hashes"] for part in bill["components"])


def test_a_lock_that_cannot_be_read_is_said_and_not_passed_over(tmp_path: Path):
    account = supply.list_parts(tmp_path, tmp_path, [])
    assert account.exit_code == 2
    assert "requirements.lock was not looked at" in str(account)


def test_a_known_vulnerability_of_a_locked_version_is_named_with_the_version_that_ends_it(tmp_path: Path, osv: str):
    account = supply.audit(lock(tmp_path, "pydicom==", "numpy=="), [], "--osv-url", osv)
    assert account.exit_code == 1, str(account)
    [line] = account.found
    assert re.fullmatch(
        r"requirements.lock: pydicom \S+: (GHSA-xxxx-yyyy-zzzz, CVE-2026-0001|CVE-2026-0001, GHSA-xxxx-yyyy-zzzz)"
        r" \(ended by 9\.0\)",
        line,
    )


def test_without_a_network_the_lock_counts_as_not_looked_at(tmp_path: Path):
    account = supply.audit(lock(tmp_path, "numpy=="), [], "--osv-url", "http://127.0.0.1:9/v1/query")
    assert account.exit_code == 2
    [line] = account.lacking
    assert "grype sbom:.local/sbom/requirements.cdx.json" in line


def test_an_image_that_is_here_is_not_passed_over_where_its_scanner_is_missing(tools: Path, tmp_path: Path, osv: str):
    images = supply.image_names(lower(topology()))
    assert {"hm-mlflow/mlflow", "hm-mlflow/webapp", "hm-mlflow/minio", "postgres:15-bookworm"} <= set(images)
    account = supply.audit(lock(tmp_path, "numpy=="), images, "--osv-url", osv)
    assert account.exit_code == 2
    assert account.lacking == [
        "hm-mlflow/webapp: not looked at, because grype is not on the PATH. Install it: "
        "https://github.com/anchore/grype#installation"
    ]


def test_what_grype_finds_counts_where_it_is_serious(tools: Path, tmp_path: Path, osv: str):
    def match(severity: str, name: str) -> dict:
        return {
            "vulnerability": {"id": f"CVE-{name}", "severity": severity, "fix": {"versions": ["2"], "state": "fixed"}},
            "artifact": {"name": name, "version": "1"},
        }

    def audited(script: str) -> supply.Account:
        put(tools, "grype", script)
        return supply.audit(lock(tmp_path, "numpy=="), ["hm-mlflow/webapp"], "--osv-url", osv)

    for name, matches in {
        "slight": [match("Low", "tar")],
        "serious": [match("Low", "tar"), match("Critical", "ssl")],
    }.items():
        (tmp_path / name).write_text(json.dumps({"matches": matches}))
    account = audited(f"cat {tmp_path / 'slight'}")
    assert (account.exit_code, account.found, account.lacking) == (0, [], [])
    account = audited(f"cat {tmp_path / 'serious'}")
    assert (account.exit_code, account.found) == (1, ["hm-mlflow/webapp: ssl 1: CVE-ssl (ended by 2)"])
    account = audited("echo 'failed to load vulnerability db' >&2; exit 1")
    assert account.exit_code == 2
    assert "grype db import FILE && GRYPE_DB_AUTO_UPDATE=false make audit" in account.lacking[0]
