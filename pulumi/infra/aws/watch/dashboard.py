"""The dashboard's document: alarms on top, then two graphs a row."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

Text = pulumi.Input[str]
_ELB, _ECS, _RDS, _INSIGHTS = "AWS/ApplicationELB", "AWS/ECS", "AWS/RDS", "ECS/ContainerInsights"


def dashboard(
    *,
    region: str,
    balancer: Text,
    targets: Mapping[str, Text],
    cluster: Text,
    services: Mapping[str, Text],
    database: Text,
    alarms: Sequence[Text],
    insights: bool,
) -> dict[str, Any]:
    """What `put-dashboard` takes; target groups and ECS services go by the topology's names."""

    def of_targets(metric: str) -> list[list[Any]]:
        return [
            [_ELB, metric, "LoadBalancer", balancer, "TargetGroup", group, {"label": service}]
            for service, group in targets.items()
        ]

    def of_services(metric: str, namespace: str = _ECS) -> list[list[Any]]:
        return [
            [namespace, metric, "ClusterName", cluster, "ServiceName", name, {"label": service}]
            for service, name in services.items()
        ]

    def of_database(metric: str) -> list[list[Any]]:
        return [[_RDS, metric, "DBInstanceIdentifier", database]]

    graphs = [
        ("Requests", "Sum", of_targets("RequestCount")),
        ("Answers 5xx", "Sum", of_targets("HTTPCode_Target_5XX_Count")),
        ("Seconds to an answer, 95 %", "p95", of_targets("TargetResponseTime")),
        ("Healthy containers", "Minimum", of_targets("HealthyHostCount")),
        *([("Running tasks", "Average", of_services("RunningTaskCount", _INSIGHTS))] if insights else []),
        ("Processor, % of what is reserved", "Average", of_services("CPUUtilization")),
        ("Memory, % of what is reserved", "Maximum", of_services("MemoryUtilization")),
        ("Database: processor, %", "Average", of_database("CPUUtilization")),
        ("Database: free bytes", "Minimum", of_database("FreeStorageSpace")),
        ("Database: connections", "Maximum", of_database("DatabaseConnections")),
    ]
    top = {
        "type": "alarm",
        **_place(0, 0, width=24, height=3),
        "properties": {"title": "Alarms", "alarms": list(alarms)},
    }
    return {
        "widgets": [
            top,
            *(
                {
                    "type": "metric",
                    **_place(12 * (number % 2), 3 + 6 * (number // 2), width=12, height=6),
                    "properties": {
                        "title": title,
                        "region": region,
                        "stat": statistic,
                        "period": 60,
                        "metrics": metrics,
                    },
                }
                for number, (title, statistic, metrics) in enumerate(graphs)
            ),
        ]
    }


def _place(x: int, y: int, *, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "width": width, "height": height}
