"""Records the program's graph with the tool `aws_graph`: `simulated.py TOOL OUT STACK KEY=VALUE …`, run as a program.

The tool answers a resource's outputs by references to Terraform's, but what the program itself gave by its value, which
tells Terraform nothing of what comes first: a name is made a reference here. A list of blocks, such as the secret that
RDS makes for its password, it leaves out: that is added. And what the program makes of the network's id, Terraform
makes of it again: it is another network after each `make down`.
"""

import sys
from hashlib import sha256
from pathlib import Path

from infra.settings import ROOT

_NAMES = ("name", "bucket", "identifier", "family")
# The suffix of the database's names, which the program computes of a reference here.
RECORDED = sha256(b"${aws_vpc.vpc.id}").hexdigest()[:8]
SUFFIX = "${substr(sha256(aws_vpc.vpc.id), 0, 8)}"


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
    status = record.main(Path(out), ROOT / "pulumi", "hm-mlflow", stack, config)
    document = Path(out, "main.tf.json")
    said = document.read_text()
    if RECORDED not in said:
        print("The database's names have another suffix than the network's; tell this file which.", file=sys.stderr)
        return 1
    document.write_text(said.replace(RECORDED, SUFFIX))
    return status


if __name__ == "__main__":
    sys.exit(main())
