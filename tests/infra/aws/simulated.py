"""Records the program's graph with the tool `aws_graph`: `simulated.py TOOL OUT STACK KEY=VALUE …`, run as a program.

The tool answers a resource's outputs by references to Terraform's; a list of blocks, such as the secret that RDS makes
for its password, it leaves out, so that is added here.
"""

import sys
from pathlib import Path

from infra.settings import ROOT


def main() -> int:
    """Record; the tool's own exit code."""
    tool, out, stack, *settings = sys.argv[1:]
    sys.path.insert(0, tool)
    import record
    import terraform

    class Recorder(record.Recorder):
        def new_resource(self, args):
            found, outputs = super().new_resource(args)
            if args.typ == "aws:rds/instance:Instance":
                address = f"aws_db_instance.{terraform.identifier(args.name)}.master_user_secret[0].secret_arn"
                outputs["masterUserSecrets"] = [{"secretArn": "${%s}" % address}]
            return found, outputs

    record.Recorder = Recorder
    config = dict(setting.split("=", 1) for setting in settings)
    return record.main(Path(out), ROOT / "pulumi", "hm-mlflow", stack, config)


if __name__ == "__main__":
    sys.exit(main())
