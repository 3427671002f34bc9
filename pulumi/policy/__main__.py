"""The rules of a stack on AWS as a policy pack: `pulumi preview --policy-pack pulumi/policy`."""

import sys
from pathlib import Path

from pulumi_policy import EnforcementLevel, PolicyPack

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.aws.rules.pack import policies

if __name__ == "__main__":
    PolicyPack("hm-mlflow", policies=policies(), enforcement_level=EnforcementLevel.MANDATORY)
