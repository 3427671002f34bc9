"""What a topology's references come to, given how a platform names its places."""

from collections.abc import Callable
from dataclasses import dataclass

from infra.spec import HTTP_ATTRIBUTES, Database, Ref, Topology, Value


def database_uri(user: str, host: str) -> str:
    """How SQLAlchemy addresses a database of its user's name. The password comes by libpq's own ways."""
    # The driver is named: MLflow compares a number with text in a way that psycopg 3, SQLAlchemy's default, refuses.
    return f"postgresql+psycopg2://{user}@{host}:5432/{user}"


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """A platform's names: of buckets and databases, and of services by their names and ports.

    Where a platform learns an address only when it has made the thing, its name for it is the reference itself.
    """

    bucket: Callable[[str], str]
    database: Callable[[Database], Value]
    host: Callable[[str], str]
    page: Callable[[str, int], Value]
    hosts: Callable[[str, int], Value]

    def resolve(self, topology: Topology, value: Value) -> Value:
        """A value with its reference resolved; LookupError where the topology has no such thing."""
        if not isinstance(value, Ref):
            return value
        if any(bucket.name == value.target for bucket in topology.buckets):
            return f"s3://{self.bucket(value.target)}"
        if any(database.name == value.target for database in topology.databases):
            return self.database(topology.database(value.target))
        return self._of_service(topology, value)

    def _of_service(self, topology: Topology, ref: Ref) -> Value:
        service = topology.service(ref.target)
        port = service.port("http" if ref.attribute in HTTP_ATTRIBUTES else ref.attribute)
        if port is None:
            raise LookupError(f"{ref.target} has no port for {ref.attribute!r}.")
        if ref.attribute == "page":
            return self.page(service.name, port.number)
        if ref.attribute == "hosts":
            return self.hosts(service.name, port.number)
        address = f"{self.host(service.name)}:{port.number}"
        return f"http://{address}" if ref.attribute == "url" else address
