"""At which sums of a month's budget people are told: in dollars, so that a mail says a sum."""

_SHARES = (0.25, 0.5, 0.8, 1)


def warnings(dollars: int) -> list[int]:
    """The sums, in dollars."""
    return [round(share * dollars) for share in _SHARES]
