"""Databases and buckets as containers: Postgres, and MinIO with the buckets made in it."""

from infra.spec import SECRETS, Bucket, Database, HealthCheck, Image, Port, Service, Topology

POSTGRES, OBJECT_STORE, BUCKETS = "postgres", "minio", "minio-buckets"
OBJECT_STORE_USER = "hm-mlflow"
PASSWORD, CREDENTIALS = "object-store-password", "object-store-credentials"
IMAGES = (
    Image(name=POSTGRES, public="postgres:15-bookworm"),
    Image(name=OBJECT_STORE, dockerfile="minio.Dockerfile", user=10004),
)

_DATA = "/var/lib/postgresql/data"


def bucket_name(topology: Topology, bucket: str) -> str:
    """The name of a bucket in this machine's object store."""
    return f"{topology.project}-{bucket}"


def access(service: Service) -> tuple[dict[str, str], dict[str, str]]:
    """What a service that uses buckets finds set, and the secret files it needs."""
    if not service.buckets:
        return {}, {}
    path = f"{SECRETS}/{CREDENTIALS}"
    environment = {
        "AWS_ENDPOINT_URL_S3": f"http://{OBJECT_STORE}:9000",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": path,
    }
    return environment, {CREDENTIALS: path}


def postgres(database: Database, users: tuple[str, ...]) -> Service:
    """The server of a database, reached by the services that use it."""
    return Service(
        name=POSTGRES,
        image=POSTGRES,
        cpu=512,
        memory=1024,
        environment={
            "POSTGRES_USER": database.user,
            "POSTGRES_DB": database.user,
            "POSTGRES_PASSWORD_FILE": f"{SECRETS}/{database.password}",
        },
        secrets={database.password: f"{SECRETS}/{database.password}"},
        ports=(Port(name="sql", number=5432),),
        # By TCP: while the database is being made, the server listens on its socket only.
        health=HealthCheck(command=("pg_isready", "-q", "-h", "127.0.0.1", "-U", database.user), interval=2),
        # The socket's folder too: a folder in memory would belong to root.
        kept=(_DATA, "/var/run/postgresql"),
        reached_by=users,
        user="postgres",
        stop_timeout=60,
    )


def object_store(users: tuple[str, ...]) -> Service:
    """The S3 store, its console off."""
    return Service(
        name=OBJECT_STORE,
        image=OBJECT_STORE,
        cpu=512,
        memory=2048,
        command=("server", "/data"),
        environment={
            "MINIO_ROOT_USER": OBJECT_STORE_USER,
            "MINIO_ROOT_PASSWORD_FILE": f"{SECRETS}/{PASSWORD}",
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        },
        secrets={PASSWORD: f"{SECRETS}/{PASSWORD}"},
        ports=(Port(name="http", number=9000, public=True),),
        health=HealthCheck(command=("store-healthy",), interval=2),
        kept=("/data",),
        reached_by=(*users, BUCKETS),
    )


def make_buckets(topology: Topology, buckets: tuple[Bucket, ...]) -> Service:
    """The work, done once at every start, of making the buckets that are not there."""
    environment, secrets = access(Service(name="", image="", cpu=0, memory=0, buckets=("any",)))
    return Service(
        name=BUCKETS,
        image="mlflow",
        cpu=256,
        memory=512,
        command=("make-buckets", *(bucket_name(topology, bucket.name) for bucket in buckets)),
        environment=environment,
        secrets=secrets,
        after=(OBJECT_STORE,),
        once=True,
    )
