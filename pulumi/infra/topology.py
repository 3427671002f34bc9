"""The topology: every service, image, bucket, database and secret of HM-mlflow, once, for every platform."""

from infra.spec import (
    SECRETS,
    Bucket,
    Database,
    HealthCheck,
    Image,
    LogAlarm,
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
# Fargate has no /dev/shm to speak of, so Ray's object store lies in /tmp everywhere.
_NODE = (f"--object-store-memory={_OBJECT_STORE_BYTES}", "--plasma-directory=/tmp", "--disable-usage-stats")
_LOGIN = {
    "MLFLOW_AUTH_ADMIN_PASSWORD": "mlflow-admin-password",
    "MLFLOW_JOBS_PASSWORD": "mlflow-jobs-password",
    "MLFLOW_SERVING_PASSWORD": "mlflow-serving-password",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "mlflow-session-key",
}
# What the watcher (serve/production/watcher.py) writes; a test holds the two together.
_NO_MODEL = LogAlarm(
    name="no-ready-model",
    description="A page started and has no verified model to answer with; its log says why.",
    metric="ReadyModel",
    logger="serve.production.watcher",
    raised_by=("no-model", "*no model serves yet*"),
    ended_by=("ready-model", "Serving *"),
)

IMAGES = (
    Image(name="mlflow", dockerfile="mlflow.Dockerfile", user=10003),
    Image(name="model", dockerfile="app.Dockerfile", target="model", user=10001),
    Image(name="webapp", dockerfile="app.Dockerfile", target="webapp", user=10002),
    Image(name="jupyter", dockerfile="app.Dockerfile", target="jupyter", user=10005),
)


def topology(*, workers: int = 1, login: bool = False, approval: bool = False, stack: str = "local") -> Topology:
    """The whole of it, with a number of Ray workers, and with or without a login to MLflow.

    With `approval`, a version that passes the gate waits for a person's word.

    A stack that is not called `local` has its own names, so that two on one machine share nothing but ports.
    """
    return Topology(
        project=project_of(stack),
        images=IMAGES,
        services=(
            _mlflow(login=login),
            _ray_head(login=login, approval=approval),
            _ray_worker(workers, login=login, approval=approval),
            _webapp(login=login),
            _jupyter(login=login, approval=approval),
        ),
        buckets=(Bucket(name="data", filled_by_people=True), Bucket(name="artefacts"), Bucket(name="state")),
        databases=(Database(name="database", user="mlflow", password="database-password"),),  # noqa: S106  its name
        secrets=("database-password", "ray-token", "jupyter-token", *(_LOGIN.values() if login else ())),
    )


def project_of(stack: str) -> str:
    """What every name of a stack begins with: those of `local` and of `aws` are the plain ones."""
    rest = stack.removeprefix("aws-") if on_aws(stack) else stack
    return "hm-mlflow" if rest in ("local", "aws") else f"hm-mlflow-{rest}"


def on_aws(stack: str) -> bool:
    """Whether a stack is on AWS: `aws`, or `aws-` and a name of your own."""
    return stack == "aws" or stack.startswith("aws-")


def _mlflow(*, login: bool) -> Service:
    secrets = {"PGPASSWORD": "database-password"} | (_LOGIN if login else {})
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
            **_from_files(secrets),
        },
        secrets=_files(*secrets.values()),
        ports=(Port(name="http", number=5000, public=True),),
        health=HealthCheck(port=5000, path="/health"),
        buckets=("artefacts",),
        databases=("database",),
        reached_by=("ray-head", "ray-worker", "webapp", "jupyter"),
    )


def _ray_head(*, login: bool, approval: bool) -> Service:
    """GCS, dashboard and the drivers of jobs; no task runs here, so that none can starve them."""
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
        environment=_of_a_job(login=login, approval=approval) | {"WEBAPP_URI": Ref("webapp", "url")},
        secrets=_files("ray-token") | _login_file("mlflow-jobs-password", login=login),
        ports=(Port(name="gcs", number=6379), Port(name="http", number=8265, public=True)),
        # A driver on the same core may keep it from answering for minutes, and a new head is a new cluster.
        health=HealthCheck(port=8265, path="/api/gcs_healthz", interval=20, timeout=10, retries=9),
        buckets=("data", "state"),
        scratch=_SCRATCH,
        reached_by=("ray-worker", "jupyter"),
    )


def _ray_worker(workers: int, *, login: bool, approval: bool) -> Service:
    return Service(
        name="ray-worker",
        image="model",
        cpu=2048,
        memory=6144,
        processes=4096,
        command=("ray", "start", "--block", "--num-cpus=2", "--address", Ref("ray-head", "gcs"), *_NODE),
        environment=_of_a_job(login=login, approval=approval),
        secrets=_files("ray-token") | _login_file("mlflow-jobs-password", login=login),
        health=HealthCheck(port=52365, path="/api/local_raylet_healthz"),
        replicas=workers,
        several=True,
        scaling=Scaling(follows="work", counted_beside="ray-head"),
        buckets=("data", "state"),
        scratch=_SCRATCH,
        after=("ray-head",),
        reached_by=("ray-head", "ray-worker", "jupyter"),
    )


def _webapp(*, login: bool) -> Service:
    """Its own Ray on one node, so that training can neither starve nor stop it."""
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
            "STATE_URI": Ref("state", "uri"),
            "SERVE_REPLICAS": "2",
            "SERVE_INGRESS": "haproxy",
            "LOG_FORMAT": "json",
            "API_KEYS": "off",  # said, because it listens on every address of its container
            "ALLOWED_HOSTS": Ref("webapp", "hosts"),
            **_account("serving", login=login),
        },
        secrets=_login_file("mlflow-serving-password", login=login),
        ports=(Port(name="http", number=8080, public=True),),
        health=HealthCheck(port=8080, path="/healthz", start_period=90),
        several=True,
        scaling=Scaling(follows="load"),
        alarms=(_NO_MODEL,),
        buckets=("state",),
        kept=(_APP_STATE,),
        after=("mlflow",),
        reached_by=("ray-head",),
        stop_timeout=60,
    )


def _jupyter(*, login: bool, approval: bool) -> Service:
    return Service(
        name="jupyter",
        image="jupyter",
        cpu=1024,
        memory=4096,
        processes=2048,
        command=("jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser"),
        environment=_of_a_job(login=login, approval=approval)
        | {"RAY_ADDRESS": Ref("ray-head", "url")}
        | _from_files({"JUPYTER_TOKEN": "jupyter-token"}),
        secrets=_files("ray-token", "jupyter-token") | _login_file("mlflow-jobs-password", login=login),
        ports=(Port(name="http", number=8888, public=True),),
        health=HealthCheck(port=8888, path="/api"),
        buckets=("data", "state"),
        scratch=_SCRATCH,
        kept=("/app/notebooks",),
        after=("mlflow", "ray-head"),
        optional=True,
    )


def _of_a_job(*, login: bool, approval: bool) -> dict[str, Value]:
    """What a job finds set on whichever node its driver or its tasks run."""
    return {
        "DATA_URI": Ref("data", "uri"),
        "STATE_URI": Ref("state", "uri"),
        "MLFLOW_TRACKING_URI": Ref("mlflow", "url"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": f"{SECRETS}/ray-token",
        **({"APPROVAL": "required"} if approval else {}),
        **_account("jobs", login=login),
    }


def _account(name: str, *, login: bool) -> dict[str, Value]:
    if not login:
        return {}
    return {"MLFLOW_TRACKING_USERNAME": name, **_from_files({"MLFLOW_TRACKING_PASSWORD": f"mlflow-{name}-password"})}


def _login_file(name: str, *, login: bool) -> dict[str, str]:
    return _files(name) if login else {}


def _from_files(variables: dict[str, str]) -> dict[str, Value]:
    """The images' entrypoint exports NAME from the file that NAME_FROM_FILE names."""
    return {f"{variable}_FROM_FILE": f"{SECRETS}/{secret}" for variable, secret in variables.items()}


def _files(*secrets: str) -> dict[str, str]:
    return {secret: f"{SECRETS}/{secret}" for secret in secrets}
