"""What the settings of a stack decide about its services, whatever the platform, and the secrets that it takes."""

from dataclasses import dataclass

LOGIN = {
    "MLFLOW_AUTH_ADMIN_PASSWORD": "mlflow-admin-password",
    "MLFLOW_JOBS_PASSWORD": "mlflow-jobs-password",
    "MLFLOW_SERVING_PASSWORD": "mlflow-serving-password",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "mlflow-session-key",
}
# Keys to the page and its API: those of people, a file of `NAME:KEY`, and the one by which jobs ask it.
API_KEYS, JOBS_API_KEY = "api-keys", "jobs-api-key"
# A team's key pair for versions: jobs sign by the one, and everybody who loads a model checks by the other.
SIGNING_KEY, TRUSTED_KEY = "signing-key", "trusted-key"
GRAFANA_PASSWORD = "grafana-password"  # noqa: S105  its name


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the settings of a stack decide about its services.

    Attributes
    ----------
    login
        MLflow asks for a user and a password.
    approval
        A version that passes the gate waits for a person's approval.
    abstain
        No answer is given near the threshold.
    records
        What the page answered is recorded, in numbers, for drift and feedback.
    keys
        The page and its API ask for a key.
    signing, trusted
        Jobs sign what they register by the team's private key; nothing is loaded that its public key does not know.
    traces
        The address of a collector that requests and jobs are sent to as traces; empty for none.
    dashboards
        Prometheus and Grafana may be asked for. AWS has CloudWatch in their place.
    """

    login: bool = False
    approval: bool = False
    abstain: bool = False
    records: bool = True
    keys: bool = False
    signing: bool = False
    trusted: bool = False
    traces: str = ""
    dashboards: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that are there beside those of every stack."""
        found = LOGIN.values() if self.login else ()
        keys = (API_KEYS, JOBS_API_KEY) if self.keys else ()
        grafana = (GRAFANA_PASSWORD,) if self.dashboards else ()
        return (
            *found,
            *keys,
            *grafana,
            *((SIGNING_KEY,) if self.signing else ()),
            *((TRUSTED_KEY,) if self.trusted else ()),
        )
