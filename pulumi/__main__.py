"""The program that `pulumi up --stack local` runs: settings, topology, resources, outputs."""

import pulumi

from infra.local import backend
from infra.local.outputs import outputs
from infra.settings import SettingError, read_settings
from infra.topology import topology
from infra.validate import TopologyError

try:
    settings = read_settings()
    whole = topology(workers=settings.workers, login=settings.login, stack=pulumi.get_stack())
    declared = backend.build(whole.with_only(settings.optional), settings)
except (SettingError, TopologyError) as error:
    raise pulumi.RunError(str(error)) from None  # the message, without a traceback
for name, value in outputs(declared).items():
    pulumi.export(name, value)
