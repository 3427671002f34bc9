"""The monthly budget, which writes to the same address as the alarms."""

from typing import Any

import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.settings import AwsSettings
from infra.aws.watch.warnings import warnings
from infra.groups import Groups


def build(names: Names, settings: AwsSettings, groups: Groups, *, dollars: int) -> aws.budgets.Budget:
    """Declare the budget."""
    return aws.budgets.Budget(
        "budget",
        **budget(names, dollars, settings.alert_email),
        tags=names.tags("monthly"),
        opts=groups.within("Monitoring", "monitoring"),
    )


def budget(names: Names, dollars: int, email: str) -> dict[str, Any]:
    """Arguments of the budget, whose name stands in every mail and so says what to type.

    It counts the whole account: what carries a tag is only counted apart where somebody has switched that tag on in the
    billing console, and a budget that counts nothing would be worse than none.
    """
    return {
        "name": f"{names.of('monthly')} - make sleep STACK={names.stack} pauses it",
        "budget_type": "COST",
        "time_unit": "MONTHLY",
        "limit_amount": str(dollars),
        "limit_unit": "USD",
        "notifications": [
            {
                "notification_type": kind,
                "comparison_operator": "GREATER_THAN",
                "threshold": threshold,
                "threshold_type": "ABSOLUTE_VALUE",
                "subscriber_email_addresses": [email],
            }
            for kind, threshold in (*(("ACTUAL", one) for one in warnings(dollars)), ("FORECASTED", dollars))
        ],
    }
