"""What is said of a topology that cannot be built: each rule by a case that breaks it alone."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from infra.local.lower import lower
from infra.spec import Bucket, Database, HealthCheck, Image, Port, Ref, Scaling, Service, Topology
from infra.topology import topology
from infra.validate import TopologyError, validate

SOUND = Topology(
    images=(Image(name="app", dockerfile="app.Dockerfile"),),
    services=(
        Service(
            name="front",
            image="app",
            cpu=256,
            memory=512,
            several=True,
            ports=(Port(name="http", number=80, public=True),),
        ),
        Service(
            name="back",
            image="app",
            cpu=256,
            memory=512,
            ports=(Port(name="sql", number=81),),
            reached_by=("front",),
            secrets={"key": "/run/secrets/key"},
        ),
    ),
    buckets=(Bucket(name="objects"),),
    databases=(Database(name="records", user="owner", password="key"),),
    secrets=("key",),
)

WRONG = {
    "a service and a bucket of one name": (
        lambda: replace(SOUND, buckets=(Bucket(name="back"),)),
        "'back' names 2 things; give each service, bucket and database a name of its own.",
    ),
    "three things of one name": (
        lambda: replace(
            SOUND,
            buckets=(Bucket(name="x"), Bucket(name="x")),
            databases=(Database(name="x", user="u", password="key"),),
        ),
        "'x' names 3 things; give each service, bucket and database a name of its own.",
    ),
    "replicas of what may not be many": (
        lambda: changed("back", replicas=2),
        "back has 2 replicas; make that 1, or say `several` if it may be many.",
    ),
    "a number that follows the load of one": (
        lambda: changed("back", scaling=Scaling(follows="load")),
        "back scales but may not be many; say `several`, or leave `scaling` out.",
    ),
    "a check that says nothing": (
        lambda: changed("back", health=HealthCheck()),
        "back has to be checked by a command, or by a port and a path, and not by both.",
    ),
    "a check by two ways": (
        lambda: changed("back", health=HealthCheck(command=("true",), port=81, path="/")),
        "back has to be checked by a command, or by a port and a path, and not by both.",
    ),
    "one port twice in a service": (
        lambda: changed("back", ports=(Port(name="sql", number=81), Port(name="more", number=81))),
        "back listens on port 81 twice; give each of its ports a number of its own.",
    ),
    "port 0": (
        lambda: changed("back", ports=(Port(name="sql", number=0),)),
        "back has port 0; ports are 1 to 65535.",
    ),
    "a port above the highest": (
        lambda: changed("back", ports=(Port(name="sql", number=65536),)),
        "back has port 65536; ports are 1 to 65535.",
    ),
    "several replicas behind one public port": (
        lambda: changed("front", replicas=2),
        "front has 2 replicas and the public port 80, which one container can have; "
        "make the port private or the replicas 1.",
    ),
    "a public port of two services": (
        lambda: changed("back", ports=(Port(name="sql", number=80, public=True),)),
        "Port 80 is public for front and back; change it in all of them but one.",
    ),
    "an image that is not there": (
        lambda: changed("front", image="apq"),
        "front wants the image 'apq'; there are app.",
    ),
    "a secret that is not there": (
        lambda: changed("front", secrets={"lock": "/run/secrets/lock"}),
        "front wants the secret 'lock'; there are key.",
    ),
    "a bucket that is not there": (
        lambda: changed("front", buckets=("subjects",)),
        "front wants the bucket 'subjects'; there are objects.",
    ),
    "a bucket where there is none at all": (
        lambda: replace(changed("front", buckets=("objects",)), buckets=()),
        "front wants the bucket 'objects'; there are none.",
    ),
    "a database that is not there": (
        lambda: changed("front", databases=("accounts",)),
        "front wants the database 'accounts'; there are records.",
    ),
    "waiting for a service that is not there": (
        lambda: changed("front", after=("beck",)),
        "front wants the service 'beck'; there are back, front.",
    ),
    "reached by a service that is not there": (
        lambda: changed("front", reached_by=("beck",)),
        "front wants the service 'beck'; there are back, front.",
    ),
    "a secret at a path of its own": (
        lambda: changed("back", secrets={"key": "/etc/key"}),
        "back has the secret 'key' at /etc/key; every secret stands at /run/secrets/ and its name.",
    ),
    "a reference to nothing": (
        lambda: changed("front", environment={"URL": Ref("beck", "sql")}),
        "front refers to 'beck', which is not a service, bucket or database here.",
    ),
    "a reference in a command": (
        lambda: changed("front", command=("connect", Ref("beck", "sql"))),
        "front refers to 'beck', which is not a service, bucket or database here.",
    ),
    "a bucket's address by another name than uri": (
        lambda: changed("front", buckets=("objects",), environment={"URL": Ref("objects", "url")}),
        "front refers to 'url' of objects; a bucket or database has 'uri' only.",
    ),
    "a bucket that is not its own": (
        lambda: changed("front", environment={"URL": Ref("objects", "uri")}),
        "front refers to objects but may not use it; add it to its buckets or databases.",
    ),
    "a database that is not its own": (
        lambda: changed("front", environment={"URL": Ref("records", "uri")}),
        "front refers to records but may not use it; add it to its buckets or databases.",
    ),
    "a port by a name that it has not": (
        lambda: changed("front", environment={"URL": Ref("back", "gcs")}),
        "front refers to 'gcs' of back; its ports are sql.",
    ),
    "the url of a service without http": (
        lambda: changed("front", environment={"URL": Ref("back", "url")}),
        "front refers to 'url' of back; its ports are sql.",
    ),
    "a port of a service without any": (
        lambda: changed("back", ports=(), reached_by=("front",), environment={"SELF": Ref("back", "hosts")}),
        "back refers to 'hosts' of back; its ports are none.",
    ),
    "a service that it may not reach": (
        lambda: changed("back", environment={"URL": Ref("front", "url")}),
        "back refers to front but may not reach it; add it to front's reached_by.",
    ),
    "replicas that would share a kept folder": (
        lambda: changed("front", kept=("/data",), ports=(), replicas=2),
        "front has 2 replicas and keeps /data, which they would share; make the replicas 1, or the folder scratch.",
    ),
    "two kept folders of one name": (
        lambda: changed("front", kept=("/a", "/b/data", "/c/data")),
        "front keeps 2 folders called 'data'; their volumes would share a name.",
    ),
    "a CPU size that Fargate has not": (
        lambda: changed("front", cpu=300),
        "front has cpu 300; it takes 256, 512, 1024, 2048, 4096, 8192, 16384 (1024 are one core).",
    ),
    "less memory than goes with the CPU": (
        lambda: changed("front", cpu=1024, memory=1024),
        "front has memory 1024 MiB; with cpu 1024 it takes 2048 to 8192 in steps of 1024.",
    ),
    "more memory than goes with the CPU": (
        lambda: changed("front", cpu=512, memory=5120),
        "front has memory 5120 MiB; with cpu 512 it takes 1024 to 4096 in steps of 1024.",
    ),
    "memory between two steps": (
        lambda: changed("front", cpu=2048, memory=4500),
        "front has memory 4500 MiB; with cpu 2048 it takes 4096 to 16384 in steps of 1024.",
    ),
    "the one step that the smallest size leaves out": (
        lambda: changed("front", cpu=256, memory=1536),
        "front has memory 1536 MiB; with cpu 256 it takes 512 to 2048 in steps of 512.",
    ),
    "fewer replicas than none": (
        lambda: changed("front", replicas=-1),
        "front has replicas -1, processes 512 and stop_timeout 30; they take at least 0, 1 and 1.",
    ),
    "no process": (
        lambda: changed("front", processes=0),
        "front has replicas 1, processes 0 and stop_timeout 30; they take at least 0, 1 and 1.",
    ),
    "no time to stop": (
        lambda: changed("front", stop_timeout=0),
        "front has replicas 1, processes 512 and stop_timeout 0; they take at least 0, 1 and 1.",
    ),
    "work done once by several": (
        lambda: changed("back", several=True, once=True, replicas=3),
        "back does its work once and has 3 replicas; make that 1.",
    ),
    "waiting for itself": (
        lambda: changed("front", after=("front",)),
        "front → front: each waits for the next; remove one `after`.",
    ),
    "waiting in a circle": (
        lambda: changed("back", after=("front",), of=changed("front", after=("back",))),
        "front → back → front: each waits for the next; remove one `after`.",
    ),
}


def changed(name: str, *, of: Topology = SOUND, **fields) -> Topology:
    """The sound topology, with one service changed."""
    services = tuple(replace(service, **fields) if service.name == name else service for service in of.services)
    return replace(of, services=services)


def said_of(wrong: Topology) -> list[str]:
    with pytest.raises(TopologyError) as error:
        validate(wrong)
    return str(error.value).splitlines()


@pytest.mark.parametrize("case", WRONG)
def test_one_wrong_value_gives_one_line_with_the_value_the_limit_and_the_remedy(case: str):
    build, line = WRONG[case]
    assert said_of(build()) == ["The topology cannot be built:", f"- {line}"]


def test_several_faults_give_a_line_each():
    wrong = changed("front", image="apq", memory=700, ports=(Port(name="http", number=70000, public=True),))
    assert said_of(changed("back", after=("beck",), of=wrong)) == [
        "The topology cannot be built:",
        "- front has port 70000; ports are 1 to 65535.",
        "- front wants the image 'apq'; there are app.",
        "- front has memory 700 MiB; with cpu 256 it takes 512 to 2048 in steps of 512.",
        "- back wants the service 'beck'; there are back, front.",
    ]


def test_a_circle_is_named_once_and_without_those_that_only_wait_for_it():
    # front waits for back, and back for itself.
    wrong = changed("back", after=("back",), of=changed("front", after=("back",)))
    assert said_of(wrong)[1:] == ["- back → back: each waits for the next; remove one `after`."]


@pytest.mark.parametrize(
    "sound",
    [
        lambda: SOUND,
        lambda: changed("back", ports=(Port(name="first", number=1), Port(name="last", number=65535))),
        lambda: changed("back", replicas=7, several=True),
        lambda: changed("back", replicas=0),
        lambda: changed("front", cpu=16384, memory=122880),
        lambda: changed("front", environment={"SELF": Ref("front", "hosts"), "DB": Ref("back", "sql")}),
        lambda: changed("front", databases=("records",), environment={"DB": Ref("records", "uri")}),
        lambda: changed("front", after=("back",), processes=1, stop_timeout=1),
    ],
    ids=["plain", "the ends of the ports", "many", "none", "the largest", "references", "a database", "the least"],
)
def test_what_keeps_every_rule_comes_back_as_it_is(sound: Callable[[], Topology]):
    assert validate(sound()) == sound()


@pytest.mark.parametrize("login", [False, True], ids=["no login", "login"])
@pytest.mark.parametrize("workers", [0, 1, 64])
@pytest.mark.parametrize("wanted", [frozenset(), frozenset({"jupyter"})], ids=["no jupyter", "jupyter"])
def test_the_real_topology_can_be_built(workers: int, login: bool, wanted: frozenset[str]):
    real = topology(workers=workers, login=login).with_only(wanted)
    assert validate(real) == real
    assert {service.name for service in lower(real).services} > {service.name for service in real.services}
