"""The name and the tags of everything on AWS."""

from dataclasses import dataclass

from infra.spec import Service

# What AWS runs itself, by the names that the program has for it.
EDGE, DATABASE, ENDPOINTS, LOGS = "edge", "database", "endpoints", "logs"
ORIGIN = "origin"  # by which CloudFront reaches the edge
# What is recorded in prod, and where it stands in the bucket for logs.
TRAIL, FLOWS = "trail", "flows"


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names within one account and one region; `project` begins each of them.

    `own_domain` is the domain in which the services are found, where it is not the project's.
    """

    project: str
    stack: str
    environment: str
    account: str
    region: str
    own_domain: str = ""

    def of(self, name: str) -> str:
        """The name of a resource: `hm-mlflow-NAME`."""
        return f"{self.project}-{name}"

    def tags(self, name: str) -> dict[str, str]:
        """The tags of a resource; bills are told apart by them."""
        return {
            "Name": self.of(name),
            "Project": self.project,
            "Stack": self.stack,
            "Environment": self.environment,
            "ManagedBy": "pulumi",
        }

    @property
    def domain(self) -> str:
        """The zone in which the services are found. `internal` is kept for such names; `local` is multicast DNS's."""
        return self.own_domain or f"{self.project}.internal"

    def host(self, service: Service) -> str:
        """The name under which a service is found, inside the VPC and by people."""
        return f"{service.label}.{self.domain}"

    def bucket(self, bucket: str) -> str:
        """The name of a bucket: no other account in the world may have the same."""
        return f"{self.project}-{bucket}-{self.account}-{self.region}"

    def secret(self, secret: str) -> str:
        """The name of a secret in Secrets Manager."""
        return f"{self.project}/{secret}"

    def log_group(self, service: str) -> str:
        """Where the log of a service is."""
        return f"/ecs/{self.of(service)}"

    def arn(self, service: str, resource: str) -> str:
        """The address of a resource of this account and region whose name is known before it is made."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"
