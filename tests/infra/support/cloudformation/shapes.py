"""Inputs in the shape that CloudFormation has for them, where it has another one."""

import json
from collections.abc import Callable
from typing import Any


def attributes(inputs: dict[str, Any], into: str, names: dict[str, str]) -> dict[str, Any]:
    """Some properties as the list of keys and values that load balancers have them in."""
    given = {name: inputs.pop(key) for key, name in names.items() if key in inputs}
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}
    return inputs | {into: [{"key": name, "value": text} for name, text in texts.items()]}


def balancer(inputs: dict[str, Any]) -> dict[str, Any]:
    logs = {f"accessLogs.{key}": value for key, value in inputs.pop("accessLogs").items()}
    inputs["internal"] = "internal" if inputs["internal"] else "internet-facing"
    names = {
        "idleTimeout": "idle_timeout.timeout_seconds",
        "enableDeletionProtection": "deletion_protection.enabled",
        "desyncMitigationMode": "routing.http.desync_mitigation_mode",
        "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
        "accessLogs.enabled": "access_logs.s3.enabled",
        "accessLogs.bucket": "access_logs.s3.bucket",
        "accessLogs.prefix": "access_logs.s3.prefix",
    }
    return attributes(inputs | logs, "loadBalancerAttributes", names)


def targets(inputs: dict[str, Any]) -> dict[str, Any]:
    check = inputs.pop("healthCheck")
    inputs |= {
        "healthCheckPath": check["path"],
        "healthCheckIntervalSeconds": check["interval"],
        "healthCheckTimeoutSeconds": check["timeout"],
        "healthyThresholdCount": check["healthyThreshold"],
        "unhealthyThresholdCount": check["unhealthyThreshold"],
        "matcher": {"httpCode": check["matcher"]},
    }
    names = {"deregistrationDelay": "deregistration_delay.timeout_seconds"}
    return attributes(inputs, "targetGroupAttributes", names)


def action(action: dict[str, Any]) -> dict[str, Any]:
    spelled = {"fixedResponse": "fixedResponseConfig", "redirect": "redirectConfig"}
    return {spelled.get(key, key): value for key, value in action.items()}


def listener(inputs: dict[str, Any]) -> dict[str, Any]:
    if arn := inputs.pop("certificateArn", None):
        inputs["certificateArn"] = [{"certificateArn": arn}]
    return inputs | {"defaultActions": [action(one) for one in inputs["defaultActions"]]}


def rule(inputs: dict[str, Any]) -> dict[str, Any]:
    conditions = [{"field": "host-header", "hostHeaderConfig": one["hostHeader"]} for one in inputs["conditions"]]
    return inputs | {"conditions": conditions, "actions": [action(one) for one in inputs["actions"]]}


def service(inputs: dict[str, Any]) -> dict[str, Any]:
    rolled = ("deploymentMaximumPercent", "deploymentMinimumHealthyPercent", "deploymentCircuitBreaker")
    short = dict(zip(rolled, ("maximumPercent", "minimumHealthyPercent", "deploymentCircuitBreaker"), strict=True))
    inputs["deploymentConfiguration"] = {short[key]: inputs.pop(key) for key in rolled}
    network = inputs["networkConfiguration"]
    network["assignPublicIp"] = "ENABLED" if network["assignPublicIp"] else "DISABLED"
    return inputs | {"networkConfiguration": {"awsvpcConfiguration": network}}


def schedule(inputs: dict[str, Any]) -> dict[str, Any]:
    target = dict(inputs["target"])
    if task := target.get("ecsParameters"):
        network = dict(task["networkConfiguration"])
        network["assignPublicIp"] = "ENABLED" if network["assignPublicIp"] else "DISABLED"
        target["ecsParameters"] = task | {"networkConfiguration": {"awsvpcConfiguration": network}}
    return inputs | {"target": target}


def database(inputs: dict[str, Any]) -> dict[str, Any]:
    size = inputs.get("allocatedStorage")  # none where a snapshot brings it
    return inputs | ({"allocatedStorage": str(size)} if size else {})


def record(inputs: dict[str, Any]) -> dict[str, Any]:
    spelled = {"name": "dnsName", "zoneId": "hostedZoneId"}
    aliases = [{spelled.get(key, key): value for key, value in one.items()} for one in inputs.pop("aliases", [])]
    times = {"ttl": str(inputs["ttl"])} if "ttl" in inputs else {}
    return inputs | times | ({"aliases": aliases} if aliases else {})


def budget(inputs: dict[str, Any]) -> dict[str, Any]:
    notifications = [
        {
            "notification": {
                key: one[key] for key in ("notificationType", "comparisonOperator", "threshold", "thresholdType")
            },
            "subscribers": [
                {"subscriptionType": "EMAIL", "address": address} for address in one["subscriberEmailAddresses"]
            ],
        }
        for one in inputs["notifications"]
    ]
    limit = {"amount": float(inputs["limitAmount"]), "unit": inputs["limitUnit"]}
    named = {"budgetName": inputs["name"], "budgetType": inputs["budgetType"], "timeUnit": inputs["timeUnit"]}
    return {"budget": named | {"budgetLimit": limit}, "notificationsWithSubscribers": notifications}


def distribution(inputs: dict[str, Any]) -> dict[str, Any]:
    tags = inputs.pop("tags")
    inputs["ipv6Enabled"] = inputs.pop("isIpv6Enabled")
    inputs["origins"] = [{"id" if key == "originId" else key: one[key] for key in one} for one in inputs["origins"]]
    return {"distributionConfig": inputs, "tags": tags}


def origin(inputs: dict[str, Any]) -> dict[str, Any]:
    config = inputs["vpcOriginEndpointConfig"]
    return inputs | {"vpcOriginEndpointConfig": config | {"originSslProtocols": config["originSslProtocols"]["items"]}}


def lifecycle(inputs: dict[str, Any]) -> dict[str, Any]:
    def rule(one: dict[str, Any]) -> dict[str, Any]:
        one = dict(one)
        found = {"id": one["id"], "status": one["status"], "prefix": one["filter"]["prefix"]}
        if days := one.get("expiration"):
            found["expirationInDays"] = days["days"]
        for key in ("abortIncompleteMultipartUpload", "noncurrentVersionExpiration"):
            if key in one:
                found[key] = one[key]
        return found

    return {"rules": [rule(one) for one in inputs["rules"]]}


def encryption(inputs: dict[str, Any]) -> dict[str, Any]:
    spelled = {"applyServerSideEncryptionByDefault": "serverSideEncryptionByDefault"}
    rules = [{spelled.get(key, key): value for key, value in rule.items()} for rule in inputs["rules"]]
    return {"serverSideEncryptionConfiguration": rules}


PREPARED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "budgets.Budget": budget,
    "cloudfront.Distribution": distribution,
    "cloudfront.VpcOrigin": origin,
    "cloudtrail.Trail": lambda inputs: inputs | {"isLogging": True},  # as the provider does by itself
    "ec2.FlowLog": lambda inputs: inputs | {"resourceType": "VPC"},
    "cloudwatch.MetricAlarm": lambda inputs: (
        inputs | {"dimensions": [{"name": key, "value": value} for key, value in inputs.get("dimensions", {}).items()]}
    ),
    "cloudwatch.LogMetricFilter": lambda inputs: (
        inputs
        | {
            "metricTransformation": {
                f"metric{key.title()}": value for key, value in inputs["metricTransformation"].items()
            }
        }
    ),
    "ecs.Service": service,
    "ecs.TaskDefinition": lambda inputs: inputs | {"containerDefinitions": json.loads(inputs["containerDefinitions"])},
    "ecr.LifecyclePolicy": lambda inputs: {"lifecyclePolicyText": inputs["policy"]},
    "lambda.Function": lambda inputs: inputs | {"code": {"zipFile": "def handler(event, context): pass"}},
    "lb.Listener": listener,
    "lb.ListenerRule": rule,
    "lb.LoadBalancer": balancer,
    "lb.TargetGroup": targets,
    "route53.Record": record,
    "rds.Instance": database,
    "rds.ParameterGroup": lambda inputs: (
        inputs | {"parameters": {one["name"]: one["value"] for one in inputs["parameters"]}}
    ),
    "s3.BucketLifecycleConfiguration": lifecycle,
    "s3.BucketOwnershipControls": lambda inputs: {"rules": [inputs["rule"]]},
    "s3.BucketServerSideEncryptionConfiguration": encryption,
    "scheduler.Schedule": schedule,
    "s3.BucketVersioning": lambda inputs: inputs["versioningConfiguration"],
    "sagemaker.NotebookInstanceLifecycleConfiguration": lambda inputs: (
        inputs | {"onStart": [{"content": inputs["onStart"]}]}
    ),
}
