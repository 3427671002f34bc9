"""Groups of resources, one for each thing of the topology, so that a preview reads as the topology does."""

from typing import Any

import pulumi


class Group(pulumi.ComponentResource):
    """What stands for one thing of the topology, or for one thing that a platform adds to it."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"hm-mlflow:topology:{kind}", name)


class Groups:
    """The groups of a stack, each made when its first resource is."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], Group] = {}

    def within(self, kind: str, name: str, **options: Any) -> pulumi.ResourceOptions:
        """The options of a resource in a group.

        Stacks that were made before there were groups have the resource at their root. The alias says that it is the
        same one, so that it is not created again.
        """
        if (kind, name) not in self._made:
            self._made[kind, name] = Group(kind, name)
        at_the_root = pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)
        return pulumi.ResourceOptions(parent=self._made[kind, name], aliases=[at_the_root], **options)

    def close(self) -> None:
        """Say that every group has all that belongs to it."""
        for group in self._made.values():
            group.register_outputs({})
