"""What can go wrong with models and Production; each message names the thing, what is wrong with it, and the remedy."""


class ArtefactError(ValueError):
    """The files are not a model that this project wrote; the message says which file and how."""


class PromotionError(ValueError):
    """Production cannot be changed as asked; the message says why."""


class ProductionMovedError(PromotionError):
    """Somebody changed Production while a candidate was being judged against what was there."""
