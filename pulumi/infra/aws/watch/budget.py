"""The monthly budget, which writes to the same address as the alarms."""

from typing import Any

import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.settings import AwsSettings
from infra.groups import Groups

# Told when so much of it is spent, and when the month's forecast is above it: in dollars, so that a mail says a sum.
_SPENT, _FORECAST = (0.25, 0.5, 0.8, 1), 1


def build(names: Names, settings: AwsSettings, groups: Groups) -> aws.budgets.Budget:
    """Declare the budget."""
    return aws.budgets.Budget(
        "budget",
        **budget(names, settings.monthly_budget, settings.alert_email),
        tags=names.tags("monthly"),
        opts=groups.within("Monitoring", "monitoring"),
    )


def budget(names: Names, dollars: int, email: str) -> dict[str, Any]:
    """Arguments of the budget. It counts the whole account: what carries a tag is only counted apart where somebody
    has switched that tag on in the billing console, and a budget that counts nothing would be worse than none.
    """
    return {
        "name": names.of("monthly"),
        "budget_type": "COST",
        "time_unit": "MONTHLY",
        "limit_amount": str(dollars),
        "limit_unit": "USD",
        "notifications": [
            {
                "notification_type": kind,
                "comparison_operator": "GREATER_THAN",
                "threshold": round(share * dollars),
                "threshold_type": "ABSOLUTE_VALUE",
                "subscriber_email_addresses": [email],
            }
            for kind, share in (*(("ACTUAL", share) for share in _SPENT), ("FORECASTED", _FORECAST))
        ],
    }
