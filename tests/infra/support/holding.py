"""Which properties of a resource AWS takes at its creation only: with another one, it is made anew."""

import functools

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.infra.support.cloudformation.names import TYPES
from tests.infra.support.graph import REGION


@functools.cache
def at_creation_only(kind: str) -> frozenset[str]:
    """The inputs of a kind, as Pulumi calls them, that cannot be changed later."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, f"AWS::{TYPES[kind][0]}").schema
    only = {path.removeprefix("/properties/").split("/")[0] for path in schema.get("createOnlyProperties", ())}
    renamed = {theirs: ours for ours, theirs in TYPES[kind][1].items() if theirs}
    return frozenset(renamed.get(name, name[0].lower() + name[1:]) for name in only)
