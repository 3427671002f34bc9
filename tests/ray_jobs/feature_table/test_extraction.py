"""Extraction into the cache: what it does once, what it resumes, and that its bytes depend on nothing else."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from features.acquisition import Acquisition
from features.extract import extract
from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.manifest import images_of
from ray_jobs.dataset.quarantine import read_quarantine
from ray_jobs.feature_table.cache import CacheError, extract_shard, shard_path
from ray_jobs.feature_table.extraction import extract_features
from ray_jobs.feature_table.prepare import Prepared, prepare
from ray_jobs.learning.table import Sides
from registry.settings import ROOT, Settings


def prepared_of(settings: Settings, uri: object, state: Path | None = None) -> Prepared:
    update = {"data_uri": str(uri), **({"state_uri": str(state)} if state else {})}
    return prepare(settings.model_copy(update=update))


def cache_bytes(prepared: Prepared) -> dict[str, str]:
    folder = Path(shard_path(prepared.state, DEFAULT_SPEC, "00")).parent
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("??.parquet")}


def in_process(prepared: Prepared) -> None:
    for prefix, rows in prepared.manifest.shards():
        images = images_of(rows)
        extract_shard(prepared.source, prepared.state, DEFAULT_SPEC, prefix, images)


def test_a_second_extraction_finds_everything_and_starts_no_ray(settings, folder, cluster):
    prepared = prepared_of(settings, folder)
    first = prepared.extract()
    assert (first.extracted, first.cached, first.failed) == (60, 0, 0)
    script = (
        "import ray, sys\n"
        "from ray_jobs.feature_table.prepare import prepare\n"
        "from registry.settings import Settings\n"
        f"done = prepare(Settings(data_uri={str(folder)!r}, state_uri={settings.state_uri!r})).extract()\n"
        "assert not ray.is_initialized()\n"
        "print(done)\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "0 images extracted, 60 found in the cache, 0 without features"


def test_only_new_images_are_extracted(settings, folder, cluster):
    prepared_of(settings, folder).extract()
    first = sorted((folder / "NORMAL").iterdir())[0]
    first.with_name("IM-9999-0001.jpeg").write_bytes(first.read_bytes()[:-2] + b"\x00\x00\xff\xd9")
    second = prepared_of(settings, folder).extract()
    assert (second.extracted, second.cached) == (1, 60)


def test_the_table_holds_each_image_s_own_features_and_no_patient_on_two_sides(settings, folder, cluster):
    prepared = prepared_of(settings, folder)
    prepared.extract()
    table = prepared.all_rows(DEFAULT_SPEC).read()
    rows = prepared.manifest.table("path", "sha256", "label", "patient").to_pylist()
    assert list(table.sha256) == [row["sha256"] for row in rows]
    assert list(table.labels) == [int(row["label"] == "PNEUMONIA") for row in rows]
    for index in (0, 30, 59):
        np.testing.assert_array_equal(table.features[index], extract(prepared.source.read(rows[index]["path"])))
    sides = Sides.of(table)
    assert len(sides.train) + len(sides.held_out) == 60
    assert not set(sides.train.patients) & set(sides.held_out.patients)


def test_the_cache_s_bytes_do_not_depend_on_who_wrote_them(settings, folder, cluster, tmp_path):
    on_ray = prepared_of(settings, folder, tmp_path / "on-ray")
    on_ray.extract()
    alone = prepared_of(settings, folder, tmp_path / "alone")
    in_process(alone)
    assert len(cache_bytes(alone)) > 20
    assert cache_bytes(on_ray) == cache_bytes(alone)


def test_the_cache_s_bytes_do_not_depend_on_how_often_images_were_added(settings, folder, cluster, tmp_path):
    late = sorted((folder / "NORMAL").iterdir())[::4]
    held_back = [(path, path.read_bytes()) for path in late]
    for path in late:
        path.unlink()
    grown = prepared_of(settings, folder, tmp_path / "grown")
    grown.extract()
    for path, content in held_back:
        path.write_bytes(content)
    grown = prepared_of(settings, folder, tmp_path / "grown")
    assert grown.extract().extracted == len(late)
    whole = prepared_of(settings, folder, tmp_path / "whole")
    whole.extract()
    assert cache_bytes(grown) == cache_bytes(whole)


def test_a_worker_killed_at_its_work_changes_no_byte(settings, cluster, tmp_path):
    killed: list[int] = []

    def kill_one_at_work() -> None:
        while not killed:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):  # it may end meanwhile
                    if "_extract_shard" in process.name() or "_extract_shard" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
                        return
            time.sleep(0.01)

    whole = prepared_of(settings, "synthetic:200", tmp_path / "whole")
    in_process(whole)
    harmed = prepared_of(settings, "synthetic:200", tmp_path / "harmed")
    killer = threading.Thread(target=kill_one_at_work, daemon=True)
    killer.start()
    assert harmed.extract().failed == 0
    killer.join(10)
    assert killed
    assert cache_bytes(harmed) == cache_bytes(whole)


def test_a_killed_job_goes_on_where_it_was_and_ends_with_the_same_bytes(settings, tmp_path):
    uri = "synthetic:300"
    killed = tmp_path / "killed"
    environment = {**os.environ, "STATE_URI": str(killed), "DATA_URI": uri}
    command = [sys.executable, "-m", "ray_jobs.extract_features"]
    job = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    while len(list(killed.glob("features/*/??.parquet"))) < 20:
        assert job.poll() is None, job.communicate()
        time.sleep(0.02)
    os.kill(job.pid, signal.SIGKILL)
    job.communicate()
    resumed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    extracted, found = (int(part.split()[0]) for part in resumed.stdout.split(", ")[:2])
    assert extracted + found == 300
    assert 20 <= found < 300
    whole = prepared_of(settings, uri, tmp_path / "whole")
    in_process(whole)
    assert cache_bytes(prepared_of(settings, uri, killed)) == cache_bytes(whole)


def test_an_image_that_cannot_be_decoded_is_quarantined_each_time_and_the_job_goes_on(settings, folder, cluster):
    broken = folder / "NORMAL" / "IM-9998-0001.jpeg"
    broken.write_bytes(sorted((folder / "NORMAL").iterdir())[0].read_bytes()[:600])
    for expected in (60, 0):
        prepared = prepared_of(settings, folder)
        done = prepared.extract()
        assert (done.extracted - done.failed if expected else done.extracted, done.failed) == (expected and 60, 1)
        report = read_quarantine(prepared.manifest).to_pylist()
        assert [(row["path"], row["reason"]) for row in report] == [("NORMAL/IM-9998-0001.jpeg", "undecodable")]
    assert len(prepared.all_rows(DEFAULT_SPEC).read()) == 60


def test_a_file_that_changed_after_it_was_listed_is_not_mistaken_for_the_old_one(settings, folder, cluster):
    prepared = prepared_of(settings, folder)
    files = sorted((folder / "NORMAL").iterdir())
    files[0].write_bytes(files[1].read_bytes())
    assert prepared.extract().failed == 1
    report = read_quarantine(prepared.manifest).to_pylist()
    assert "changed after it was listed" in report[0]["detail"]


def test_a_cache_file_of_another_spec_is_refused_with_both_fingerprints(settings, folder, cluster):
    prepared = prepared_of(settings, folder)
    prepared.extract()
    other = replace(DEFAULT_SPEC, acquisition=Acquisition(rotation=9.0))
    prefix = next(iter(prepared.manifest.shards()))[0]
    foreign = Path(shard_path(prepared.state, other, prefix))
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(Path(shard_path(prepared.state, DEFAULT_SPEC, prefix)).read_bytes())
    with pytest.raises(CacheError, match=f"{DEFAULT_SPEC.fingerprint[:16]}.*{other.fingerprint[:16]}"):
        extract_features(prepared.source, prepared.manifest, prepared.state, other)


def test_state_in_a_bucket_gives_the_same_features(settings, folder, cluster, tmp_path, bucket):
    away = prepare(settings.model_copy(update={"data_uri": str(folder), "state_uri": f"s3://{bucket}/here"}))
    in_process(away)
    assert away.extract().cached == 60
    local = prepared_of(settings, folder, tmp_path / "local")
    in_process(local)
    np.testing.assert_array_equal(
        away.all_rows(DEFAULT_SPEC).read().features, local.all_rows(DEFAULT_SPEC).read().features
    )
