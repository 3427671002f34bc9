"""What of the page's log rings: it has no model, refuses a version, or does not follow its alias."""

from infra.spec import LogAlarm

# What the watcher (serve/production/watcher.py) writes, and again every two minutes; a test holds the two together.
_NO_MODEL = LogAlarm(
    name="no-ready-model",
    description="A page started and has no verified model to answer with; its log says why.",
    metric="ReadyModel",
    logger="serve.production.watcher",
    raised_by=("no-model", {"ready": "no"}),
    ended_by=("ready-model", {"ready": "yes"}),
)
_FOLLOWED = {"message": "Production is followed*"}
_REFUSED = LogAlarm(
    name="version-refused",
    description="The page refuses the version in Production and answers with the one before; its log says why.",
    metric="AcceptedVersion",
    logger="serve.production.watcher",
    raised_by=("refused-version", {"code": "refused"}),
    ended_by=("accepted-version", _FOLLOWED),
)
_MOVED = LogAlarm(
    name="alias-moved",
    description="Somebody moved the alias production past its history; the page does not follow it.",
    metric="AliasInPlace",
    logger="serve.production.watcher",
    raised_by=("moved-alias", {"code": "alias-moved"}),
    ended_by=("alias-in-place", _FOLLOWED),
)
PAGE_ALARMS = (_NO_MODEL, _REFUSED, _MOVED)
