"""Records the program's graph with the tool `aws_graph`: `simulated.py TOOL OUT STACK KEY=VALUE …`, run as a program.

The tool answers a resource's outputs by references to Terraform's, but what the program itself gave by its value, which
tells Terraform nothing of what comes first: a name is made a reference here. A list of blocks, such as the secret that
RDS makes for its password, it leaves out: that is added.
"""

import sys
from pathlib import Path

from infra.settings import ROOT

_NAMES = ("name", "bucket", "identifier", "family")


def main() -> int:
    """Record; the tool's own exit code."""
    tool, out, stack, *settings = sys.argv[1:]
    sys.path.insert(0, tool)
    import record
    import terraform

    record.FUNCTIONS["aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings"] = lambda _: {
        "locations": [f"{record.REGION}{zone}" for zone in "abc"]
    }
    terraform.TYPES["aws:cloudtrail/trail:Trail"] = "aws_cloudtrail"  # the tool would look for aws_cloudtrail_trail

    class Recorder(record.Recorder):
        def new_resource(self, args):
            found, outputs = super().new_resource(args)
            if found.startswith("${"):
                address = found.removeprefix("${").removesuffix(".id}")
                outputs |= {name: f"${{{address}.{name}}}" for name in _NAMES if args.inputs.get(name)}
                if args.typ == "aws:secretsmanager/secretVersion:SecretVersion":
                    outputs["versionId"] = f"${{{address}.version_id}}"
                if args.typ == "aws:rds/instance:Instance":
                    outputs["masterUserSecrets"] = [{"secretArn": f"${{{address}.master_user_secret[0].secret_arn}}"}]
            inputs = self.resources[-1]["inputs"]
            # No container ever runs in this simulation, so that a service would be waited for in vain.
            inputs.pop("waitForSteadyState", None)
            if inputs.pop("capacityProviderStrategies", None):  # it gives a service no other capacity
                inputs.pop("forceNewDeployment", None)
                inputs["launchType"] = "FARGATE"
            if args.typ.endswith(":ClusterCapacityProviders"):
                self.resources.pop()
            if args.typ.endswith(":BucketObjectv2"):
                self.resources.pop()  # the simulation speaks no TLS, and the bucket's policy refuses what comes without
            if args.typ.endswith(":FlowLog"):  # the simulation takes bucket and folder for the name of a bucket
                inputs["logDestination"] = inputs["logDestination"].removesuffix("/flows/")
            if "platformIdentifier" in inputs:
                inputs["platformIdentifier"] = "notebook-al2-v3"  # the newest that the tool's provider knows
            return found, outputs

    record.Recorder = Recorder
    config = dict(setting.split("=", 1) for setting in settings)
    return record.main(Path(out), ROOT / "pulumi", "hm-mlflow", stack, config)


if __name__ == "__main__":
    sys.exit(main())
