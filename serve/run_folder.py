"""The folder that all processes of one start share: where each finds the log, the metrics and the sign to stop."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """A temporary folder that exists from start to stop."""

    path: Path

    @property
    def log_socket(self) -> Path:
        """The Unix socket on which the starting process collects log lines."""
        return self.path / "log"

    @property
    def stopping(self) -> Path:
        """The flag file: while it exists, replicas take no new work."""
        return self.path / "stopping"

    @property
    def waiting(self) -> Path:
        """The flag file: while it exists, replicas are not ready before they have a model."""
        return self.path / "waiting"

    @property
    def metrics(self) -> Path:
        """Where each replica keeps its metrics, for whichever of them Prometheus asks."""
        return self.path / "metrics"

    @property
    def haproxy_metrics(self) -> Path:
        """The Unix socket on which HAProxy answers `/metrics` with its own counts."""
        return self.path / "haproxy"
