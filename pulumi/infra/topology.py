"""The topology: every service, image, bucket, database and secret of HM-mlflow, once, for every platform."""

from dataclasses import dataclass, replace

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
# Where each node of Ray tells Prometheus about itself (compose/dashboards/prometheus.yml).
_RAY_METRICS = 9200
# Fargate has no /dev/shm to speak of, so Ray's object store lies in /tmp everywhere.
_NODE = (
    f"--object-store-memory={_OBJECT_STORE_BYTES}",
    "--plasma-directory=/tmp",
    "--disable-usage-stats",
    f"--metrics-export-port={_RAY_METRICS}",
)
_LOGIN = {
    "MLFLOW_AUTH_ADMIN_PASSWORD": "mlflow-admin-password",
    "MLFLOW_JOBS_PASSWORD": "mlflow-jobs-password",
    "MLFLOW_SERVING_PASSWORD": "mlflow-serving-password",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "mlflow-session-key",
}
# Keys to the page and its API: those of people, a file of `NAME:KEY`, and the one by which jobs ask it.
_API_KEYS, _JOBS_API_KEY = "api-keys", "jobs-api-key"
# A team's key pair for versions: jobs sign by the one, and everybody who loads a model checks by the other.
_SIGNING_KEY, _TRUSTED_KEY = "signing-key", "trusted-key"
# What the watcher (serve/production/watcher.py) writes; a test holds the two together.
_NO_MODEL = LogAlarm(
    name="no-ready-model",
    description="A page started and has no verified model to answer with; its log says why.",
    metric="ReadyModel",
    logger="serve.production.watcher",
    raised_by=("no-model", {"message": "*no model serves yet*"}),
    ended_by=("ready-model", {"message": "Serving *"}),
)
_FOLLOWED = {"message": "Production is followed*"}
_REFUSED = LogAlarm(
    name="version-refused",
    description="The page refuses the version in Production and answers with the one before; its log says why.",
    metric="AcceptedVersion",
    logger="serve.production.watcher",
    raised_by=("refused-version", {"code": "refused"}),
    ended_by=("accepted-version", _FOLLOWED),
)
_MOVED = LogAlarm(
    name="alias-moved",
    description="Somebody moved the alias production past its history; the page does not follow it.",
    metric="AliasInPlace",
    logger="serve.production.watcher",
    raised_by=("moved-alias", {"code": "alias-moved"}),
    ended_by=("alias-in-place", _FOLLOWED),
)

_GRAFANA_PASSWORD = "grafana-password"  # noqa: S105  its name
_DASHBOARD_IMAGES = (
    Image(name="prometheus", dockerfile="dashboards.Dockerfile", target="prometheus", user=65534),
    Image(name="grafana", dockerfile="dashboards.Dockerfile", target="grafana", user=472),
)

IMAGES = (
    Image(name="mlflow", dockerfile="mlflow.Dockerfile", user=10003),
    Image(name="model", dockerfile="app.Dockerfile", target="model", user=10001),
    Image(name="webapp", dockerfile="app.Dockerfile", target="webapp", user=10002),
    Image(name="jupyter", dockerfile="app.Dockerfile", target="jupyter", user=10005),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the settings of a stack decide about its services.

    Attributes
    ----------
    login
        MLflow asks for a user and a password.
    approval
        A version that passes the gate waits for a person's word.
    abstain
        No answer is given near the threshold.
    keys
        The page and its API ask for a key.
    signing, trusted
        Jobs sign what they register by the team's private key; nothing is loaded that its public key does not know.
    dashboards
        Prometheus and Grafana may be asked for. AWS has CloudWatch in their place.
    """

    login: bool = False
    approval: bool = False
    abstain: bool = False
    keys: bool = False
    signing: bool = False
    trusted: bool = False
    dashboards: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that are there beside those of every stack."""
        found = _LOGIN.values() if self.login else ()
        keys = (_API_KEYS, _JOBS_API_KEY) if self.keys else ()
        grafana = (_GRAFANA_PASSWORD,) if self.dashboards else ()
        return (
            *found,
            *keys,
            *grafana,
            *((_SIGNING_KEY,) if self.signing else ()),
            *((_TRUSTED_KEY,) if self.trusted else ()),
        )


def topology(*, workers: int = 1, stack: str = "local", retrain: str = "off", **options: bool) -> Topology:
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
        images=(*IMAGES, *(_DASHBOARD_IMAGES if chosen.dashboards else ())),
        services=(*map(_watched, services), _prometheus(), _grafana()) if chosen.dashboards else services,
        buckets=(Bucket(name="data", filled_by_people=True), Bucket(name="artefacts"), Bucket(name="state")),
        databases=(Database(name="database", user="mlflow", password="database-password"),),  # noqa: S106  its name
        secrets=("database-password", "ray-token", "jupyter-token", *chosen.secrets),
    )


def _watched(service: Service) -> Service:
    """The same, reached by Prometheus if it has something to tell."""
    tells = service.name in ("webapp", "ray-head", "ray-worker")
    return replace(service, reached_by=(*service.reached_by, "prometheus")) if tells else service


def _prometheus() -> Service:
    """What it asks, and its rules, are in compose/dashboards/."""
    return Service(
        name="prometheus",
        image="prometheus",
        cpu=512,
        memory=1024,
        command=(
            *("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"),
            *("--storage.tsdb.retention.time=45d", "--storage.tsdb.retention.size=8GB"),  # the objective needs 30 days
        ),
        ports=(Port(name="http", number=9090, public=True),),
        health=HealthCheck(command=("wget", "-q", "--spider", "http://127.0.0.1:9090/-/healthy")),
        kept=("/prometheus",),
        after=("webapp",),
        reached_by=("grafana",),
        optional="dashboards",
    )


def _grafana() -> Service:
    return Service(
        name="grafana",
        image="grafana",
        cpu=512,
        memory=1024,
        environment={
            "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{SECRETS}/{_GRAFANA_PASSWORD}",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",  # they would be fetched at every start
        },
        secrets=_files(_GRAFANA_PASSWORD),
        ports=(Port(name="http", number=3000, public=True),),
        health=HealthCheck(command=("wget", "-q", "--spider", "http://127.0.0.1:3000/api/health")),
        kept=("/var/lib/grafana",),
        after=("prometheus",),
        optional="dashboards",
    )


def project_of(stack: str) -> str:
    """What every name of a stack begins with: those of `local` and of `aws` are the plain ones."""
    rest = stack.removeprefix("aws-") if on_aws(stack) else stack
    return "hm-mlflow" if rest in ("local", "aws") else f"hm-mlflow-{rest}"


def on_aws(stack: str) -> bool:
    """Whether a stack is on AWS: `aws`, or `aws-` and a name of your own."""
    return stack == "aws" or stack.startswith("aws-")


def _mlflow(options: Options) -> Service:
    secrets = {"PGPASSWORD": "database-password"} | (_LOGIN if options.login else {})
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


def _ray_head(options: Options, *, reached_by: tuple[str, ...]) -> Service:
    """GCS, dashboard and the drivers of jobs; no task runs here, so that none can starve them."""
    # Only drivers register versions, and only they ask the page.
    own = {"API_KEYS_FILE": _JOBS_API_KEY} if options.keys else {}
    own |= {"SIGNING_KEY": _SIGNING_KEY} if options.signing else {}
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
        environment={**environment, "WEBAPP_URI": Ref("webapp", "url"), **_paths(own)},
        secrets=secrets | _files(*own.values()),
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
        scaling=Scaling(follows="work", counted_beside="ray-head"),
        buckets=("data", "state"),
        scratch=_SCRATCH,
        after=("ray-head",),
        reached_by=("ray-head", "ray-worker", "jupyter"),
    )


def _webapp(options: Options) -> Service:
    """Its own Ray on one node, so that training can neither starve nor stop it."""
    environment, secrets = _of_a_reader("serving", options)
    keys = _files(_API_KEYS, _JOBS_API_KEY) if options.keys else {}
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
            "ALLOWED_HOSTS": Ref("webapp", "hosts"),
            **(_keys() if options.keys else {"API_KEYS": "off"}),  # said, because it listens on every address
            **environment,
        },
        secrets=secrets | keys,
        ports=(Port(name="http", number=8080, public=True),),
        health=HealthCheck(port=8080, path="/healthz", start_period=90),
        several=True,
        scaling=Scaling(follows="load"),
        alarms=(_NO_MODEL, _REFUSED, _MOVED),
        buckets=("state",),
        kept=(_APP_STATE,),
        after=("mlflow",),
        reached_by=("ray-head",),
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
        secrets=_files("ray-token"),
        buckets=("state",),
        scratch=_SCRATCH,
        after=("ray-head",),
        optional="scheduler",
    )


def _jupyter(options: Options) -> Service:
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
            **_from_files({"JUPYTER_TOKEN": "jupyter-token"}),
        },
        secrets=secrets | _files("jupyter-token"),
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
    }, _files("ray-token") | secrets


def _of_a_reader(account: str, options: Options) -> tuple[dict[str, Value], dict[str, str]]:
    """What is set for everybody who loads models and answers by them, and the secrets that it takes."""
    environment: dict[str, Value] = {"ABSTAIN": "near-threshold"} if options.abstain else {}
    secrets: dict[str, str] = {}
    if options.login:
        password = f"mlflow-{account}-password"
        environment["MLFLOW_TRACKING_USERNAME"] = account
        environment |= _from_files({"MLFLOW_TRACKING_PASSWORD": password})
        secrets |= _files(password)
    if options.trusted:
        environment |= _paths({"TRUSTED_KEY": _TRUSTED_KEY})
        secrets |= _files(_TRUSTED_KEY)
    return environment, secrets


def _keys() -> dict[str, Value]:
    """Keys of people in a file that they may fill as they like, and the key of jobs beside it."""
    return {**_paths({"API_KEYS_FILE": _API_KEYS}), **_from_files({"API_KEYS": _JOBS_API_KEY})}


def _paths(variables: dict[str, str]) -> dict[str, Value]:
    """Variables that name the file of a secret."""
    return {variable: f"{SECRETS}/{secret}" for variable, secret in variables.items()}


def _from_files(variables: dict[str, str]) -> dict[str, Value]:
    """The images' entrypoint exports NAME from the file that NAME_FROM_FILE names."""
    return _paths({f"{variable}_FROM_FILE": secret for variable, secret in variables.items()})


def _files(*secrets: str) -> dict[str, str]:
    return {secret: f"{SECRETS}/{secret}" for secret in secrets}
