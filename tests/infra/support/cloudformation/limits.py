"""What AWS documents of a value and cfn-lint's schemas do not say, as JSON Schema by type and property.

Each is from the API reference of the service: AuthorizeSecurityGroupIngress, CreateLoadBalancer, CreateTargetGroup,
CreateCluster, CreateService, RegisterTaskDefinition, CreateDBInstance, CreateDBSubnetGroup, PutDashboard, CreateRole.
"""

from typing import Any

_RULE: dict[str, Any] = {"maxLength": 255, "pattern": r"^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*$"}
_BALANCED: dict[str, Any] = {"maxLength": 32, "pattern": r"^(?!internal-)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"}
_ECS: dict[str, Any] = {"maxLength": 255, "pattern": r"^[A-Za-z0-9_-]+$"}
_RDS: dict[str, Any] = {"maxLength": 63, "pattern": r"^[a-zA-Z](?!.*--)[a-zA-Z0-9-]*(?<!-)$"}
LIMITS: dict[str, dict[str, Any]] = {
    "EC2::SecurityGroupEgress": {"Description": _RULE},
    "EC2::SecurityGroupIngress": {"Description": _RULE},
    "ElasticLoadBalancingV2::LoadBalancer": {"Name": _BALANCED},
    "ElasticLoadBalancingV2::TargetGroup": {"Name": _BALANCED},
    "ECS::Cluster": {"ClusterName": _ECS},
    "ECS::Service": {"ServiceName": _ECS},
    "ECS::TaskDefinition": {"Family": _ECS},
    "RDS::DBInstance": {"DBInstanceIdentifier": _RDS},
    "RDS::DBSubnetGroup": {"DBSubnetGroupName": {"maxLength": 255, "pattern": "^[a-zA-Z0-9_. -]+$"}},
    "CloudWatch::Dashboard": {"DashboardName": {"maxLength": 255, "pattern": "^[A-Za-z0-9_-]+$"}},
    "IAM::Role": {"RoleName": {"maxLength": 64, "pattern": r"^[\w+=,.@-]+$"}},
}
