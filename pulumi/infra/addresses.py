"""What a topology's references come to, given how a platform names its places."""

from collections.abc import Callable
from dataclasses import dataclass

from infra.spec import HTTP_ATTRIBUTES, Ref, Topology, Value


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """A platform's names: of buckets, of the host of the database, and of services by their names and ports."""

    bucket: Callable[[str], str]
    database: str
    host: Callable[[str], str]
    page: Callable[[str, int], str]
    hosts: Callable[[str, int], str]

    def text(self, topology: Topology, value: Value) -> str:
        """A value with its reference resolved; LookupError where the topology has no such thing."""
        if not isinstance(value, Ref):
            return value
        if any(bucket.name == value.target for bucket in topology.buckets):
            return f"s3://{self.bucket(value.target)}"
        if any(database.name == value.target for database in topology.databases):
            user = topology.database(value.target).user
            # Named, because MLflow compares a number with text in a way that psycopg 3, SQLAlchemy's default, refuses.
            return f"postgresql+psycopg2://{user}@{self.database}:5432/{user}"
        return self._of_service(topology, value)

    def _of_service(self, topology: Topology, ref: Ref) -> str:
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
