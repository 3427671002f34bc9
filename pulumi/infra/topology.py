"""The topology: every service, image, bucket, database and secret of HM-mlflow, once, for every platform."""

from typing import Any

from infra import dashboards
from infra.options import API_KEYS, JOBS_API_KEY, LOGIN, SIGNING_KEY, TRUSTED_KEY, Options
from infra.page_alarms import PAGE_ALARMS
from infra.secret_files import files, from_files, paths
from infra.spec import (
    SECRETS,
    Bucket,
    Database,
    HealthCheck,
    Image,
    Port,
    Ref,
    Scaling,
    Service,
    Topology,
    Value,
)

_APP_STATE = "/app/.local"
_SCRATCH = ("/tmp", _APP_STATE)  # noqa: S108  inside a container
_OBJECT_STORE_BYTES = 512 * 2**20
# Where each node of Ray tells Prometheus about itself (compose/dashboards/prometheus.yml).
_RAY_METRICS = 9200
# Fargate has no /dev/shm to speak of, so Ray's object store lies in /tmp everywhere.
_NODE = (
    f"--object-store-memory={_OBJECT_STORE_BYTES}",
    "--plasma-directory=/tmp",
    "--disable-usage-stats",
    f"--metrics-export-port={_RAY_METRICS}",
)

IMAGES = (
    Image(name="mlflow", dockerfile="mlflow.Dockerfile", user=10003),
    Image(name="model", dockerfile="app.Dockerfile", target="model", user=10001),
    Image(name="webapp", dockerfile="app.Dockerfile", target="webapp", user=10002),
    Image(name="jupyter", dockerfile="app.Dockerfile", target="jupyter", user=10005),
)


def topology(*, workers: int = 1, stack: str = "local", retrain: str = "off", **options: Any) -> Topology:
    """The whole of it, with a number of Ray workers, and `options` by the names that `Options` has for them.

    With `retrain`, `weekly` or `on-drift`, there is a scheduler too.

    A stack that is not called `local` has its own names, so that two on one machine share nothing but ports.
    """
    chosen = Options(**options)
    services = (
        _mlflow(chosen),
        _ray_head(chosen, reached_by=("scheduler",) if retrain != "off" else ()),
        _ray_worker(workers, chosen),
        _webapp(chosen),
        *([_scheduler(retrain)] if retrain != "off" else []),
        _jupyter(chosen),
    )
    return Topology(
        project=project_of(stack),
        images=(*IMAGES, *(dashboards.IMAGES if chosen.dashboards else ())),
        services=dashboards.beside(services) if chosen.dashboards else services,
        buckets=(Bucket(name="data", filled_by_people=True), Bucket(name="artefacts"), Bucket(name="state")),
        databases=(Database(name="database", user="mlflow", password="database-password"),),  # noqa: S106  its name
        secrets=("database-password", "ray-token", "jupyter-token", *chosen.secrets),
    )


def project_of(stack: str) -> str:
    """What every name of a stack begins with: those of `local` and of `aws` are the plain ones."""
    rest = stack.removeprefix("aws-") if on_aws(stack) else stack
    return "hm-mlflow" if rest in ("local", "aws") else f"hm-mlflow-{rest}"


def on_aws(stack: str) -> bool:
    """Whether a stack is on AWS: `aws`, or `aws-` and a name of your own."""
    return stack == "aws" or stack.startswith("aws-")


def _mlflow(options: Options) -> Service:
    secrets = {"PGPASSWORD": "database-password"} | (LOGIN if options.login else {})
    return Service(
        name="mlflow",
        image="mlflow",
        cpu=1024,
        memory=3072,
        environment={
            "MLFLOW_BACKEND_STORE_URI": Ref("database", "uri"),
            "PGCLIENTENCODING": "UTF8",  # whatever encoding the server's database was made with
            "MLFLOW_ARTIFACTS_DESTINATION": Ref("artefacts", "uri"),
            "MLFLOW_HOST": "0.0.0.0",  # noqa: S104  inside a container
            "MLFLOW_PORT": "5000",
            "MLFLOW_WORKERS": "2",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # nothing here uses it, and it is four more processes
            "MLFLOW_SERVER_ALLOWED_HOSTS": Ref("mlflow", "hosts"),
            **from_files(secrets),
        },
        secrets=files(*secrets.values()),
        ports=(Port(name="http", number=5000, public=True),),
        health=HealthCheck(port=5000, path="/health", start_period=180),  # at first it makes its tables
        buckets=("artefacts",),
        databases=("database",),
        reached_by=("ray-head", "ray-worker", "webapp", "jupyter"),
    )


def _ray_head(options: Options, *, reached_by: tuple[str, ...]) -> Service:
    """GCS, dashboard and the drivers of jobs; no task runs here, so that none can starve them."""
    # Only drivers register versions, and only they ask the page.
    own = {"API_KEYS_FILE": JOBS_API_KEY} if options.keys else {}
    own |= {"SIGNING_KEY": SIGNING_KEY} if options.signing else {}
    environment, secrets = _of_a_job(options)
    return Service(
        name="ray-head",
        host="ray",
        image="model",
        cpu=1024,
        memory=4096,
        processes=4096,
        command=(
            *("ray", "start", "--head", "--block", "--num-cpus=0", "--port=6379"),
            *("--dashboard-host=0.0.0.0", "--dashboard-port=8265", *_NODE),
        ),
        environment={**environment, "WEBAPP_URI": Ref("webapp", "url"), **paths(own)},
        secrets=secrets | files(*own.values()),
        ports=(Port(name="gcs", number=6379), Port(name="http", number=8265, public=True)),
        # A driver on the same core may keep it from answering for minutes, and a new head is a new cluster.
        health=HealthCheck(port=8265, path="/api/gcs_healthz", interval=20, timeout=10, retries=9),
        buckets=("data", "state"),
        scratch=_SCRATCH,
        reached_by=("ray-worker", *reached_by, "jupyter"),
    )


def _ray_worker(workers: int, options: Options) -> Service:
    environment, secrets = _of_a_job(options)
    return Service(
        name="ray-worker",
        image="model",
        cpu=2048,
        memory=6144,
        processes=4096,
        command=("ray", "start", "--block", "--num-cpus=2", "--address", Ref("ray-head", "gcs"), *_NODE),
        environment=environment,
        secrets=secrets,
        health=HealthCheck(port=52365, path="/api/local_raylet_healthz"),
        replicas=workers,
        several=True,
        interruptible=True,
        scaling=Scaling(follows="work", counted_beside="ray-head"),
        buckets=("data", "state"),
        scratch=_SCRATCH,
        after=("ray-head",),
        reached_by=("ray-head", "ray-worker", "jupyter"),
    )


def _webapp(options: Options) -> Service:
    """Its own Ray on one node, so that training can neither starve nor stop it."""
    environment, secrets = _of_a_reader("serving", options)
    keys = files(API_KEYS, JOBS_API_KEY) if options.keys else {}
    return Service(
        name="webapp",
        host="app",
        image="webapp",
        cpu=2048,
        memory=4096,
        processes=4096,
        environment={
            "MLFLOW_TRACKING_URI": Ref("mlflow", "url"),
            "MLFLOW_PAGE_URL": Ref("mlflow", "page"),
            "WEBAPP_PAGE_URL": Ref("webapp", "page"),
            "STATE_URI": Ref("state", "uri"),
            "SERVE_INGRESS": "haproxy",
            "LOG_FORMAT": "json",
            "ALLOWED_HOSTS": Ref("webapp", "hosts"),
            **(_keys() if options.keys else {"API_KEYS": "off"}),  # said, because it listens on every address
            **({} if options.records else {"PREDICTION_RECORDS": "off"}),
            **environment,
        },
        secrets=secrets | keys,
        ports=(Port(name="http", number=8080, public=True),),
        health=HealthCheck(port=8080, path="/healthz", start_period=90),
        several=True,
        interruptible=True,
        scaling=Scaling(follows="load"),
        alarms=PAGE_ALARMS,
        buckets=("state",),
        kept=(_APP_STATE,),
        after=("mlflow",),
        reached_by=("ray-head", "jupyter"),
        stop_timeout=60,
    )


def _scheduler(retrain: str) -> Service:
    """It looks whether a retraining is due, and submits it to the jobs cluster, which does the work."""
    return Service(
        name="scheduler",
        image="model",
        cpu=256,
        memory=1024,
        command=("python", "-m", "ray_jobs.scheduler"),
        environment={
            "RETRAIN": retrain,
            "STATE_URI": Ref("state", "uri"),
            "RAY_ADDRESS": Ref("ray-head", "url"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": f"{SECRETS}/ray-token",
        },
        secrets=files("ray-token"),
        buckets=("state",),
        scratch=_SCRATCH,
        after=("ray-head",),
        optional="scheduler",
    )


def _jupyter(options: Options) -> Service:
    # It asks the page as jobs do: who may use it can submit a job that does.
    own = {"API_KEYS_FILE": JOBS_API_KEY} if options.keys else {}
    environment, secrets = _of_a_job(options)
    return Service(
        name="jupyter",
        image="jupyter",
        cpu=1024,
        memory=4096,
        processes=2048,
        command=("jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser"),
        environment={
            **environment,
            "RAY_ADDRESS": Ref("ray-head", "url"),
            "WEBAPP_URI": Ref("webapp", "url"),
            "MLFLOW_PAGE_URL": Ref("mlflow", "page"),
            **paths(own),
            **from_files({"JUPYTER_TOKEN": "jupyter-token"}),
        },
        secrets=secrets | files("jupyter-token", *own.values()),
        ports=(Port(name="http", number=8888, public=True),),
        health=HealthCheck(port=8888, path="/api"),
        buckets=("data", "state"),
        scratch=_SCRATCH,
        kept=("/app/notebooks",),
        after=("mlflow", "ray-head"),
        optional="jupyter",
    )


def _of_a_job(options: Options) -> tuple[dict[str, Value], dict[str, str]]:
    """What a job finds set on whichever node its driver or its tasks run, and the secrets it needs there."""
    environment, secrets = _of_a_reader("jobs", options)
    return {
        "DATA_URI": Ref("data", "uri"),
        "STATE_URI": Ref("state", "uri"),
        "MLFLOW_TRACKING_URI": Ref("mlflow", "url"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": f"{SECRETS}/ray-token",
        **({"APPROVAL": "required"} if options.approval else {}),
        **environment,
    }, files("ray-token") | secrets


def _of_a_reader(account: str, options: Options) -> tuple[dict[str, Value], dict[str, str]]:
    """What is set for everybody who loads models and answers by them, and the secrets that it takes."""
    environment: dict[str, Value] = {"ABSTAIN": "near-threshold"} if options.abstain else {}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": options.traces} if options.traces else {}
    secrets: dict[str, str] = {}
    if options.login:
        password = f"mlflow-{account}-password"
        environment["MLFLOW_TRACKING_USERNAME"] = account
        environment |= from_files({"MLFLOW_TRACKING_PASSWORD": password})
        secrets |= files(password)
    if options.trusted:
        environment |= paths({"TRUSTED_KEY": TRUSTED_KEY})
        secrets |= files(TRUSTED_KEY)
    return environment, secrets


def _keys() -> dict[str, Value]:
    """Keys of people in a file that they may fill as they like, and the key of jobs beside it."""
    return {**paths({"API_KEYS_FILE": API_KEYS}), **from_files({"API_KEYS": JOBS_API_KEY})}
