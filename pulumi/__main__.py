"""The program that `pulumi up` runs: settings, topology, resources, outputs; on AWS or here, by the stack's name."""

from typing import Any

import pulumi

from infra.settings import SettingError
from infra.topology import on_aws, topology
from infra.validate import TopologyError


def main() -> dict[str, Any]:
    """Declare the stack's resources; gives its outputs. Only the libraries of its own platform are imported."""
    stack = pulumi.get_stack()
    if on_aws(stack):
        from infra.aws import backend as aws_backend  # noqa: PLC0415
        from infra.aws.settings import read_aws_settings  # noqa: PLC0415

        aws_settings = read_aws_settings()
        whole = topology(workers=aws_settings.environment.idle_workers, stack=stack, **vars(aws_settings.options))
        return aws_backend.build(whole, aws_settings)
    from infra.local import backend  # noqa: PLC0415
    from infra.local.outputs import outputs  # noqa: PLC0415
    from infra.local.settings import read_local_settings  # noqa: PLC0415

    settings = read_local_settings()
    whole = topology(workers=settings.workers, stack=stack, retrain=settings.retrain, **vars(settings.options))
    return outputs(backend.build(whole.with_only(settings.optional), settings), stack)


try:
    declared = main()
except (SettingError, TopologyError) as error:
    raise pulumi.RunError(str(error)) from None  # the message, without a traceback
for name, value in declared.items():
    pulumi.export(name, value)
