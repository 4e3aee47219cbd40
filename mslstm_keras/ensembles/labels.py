"""What forecasts are called where they are scored, and found by where they are recalibrated."""


def of_members(name: str, members: int) -> str:
    """Returns the label of a model that is perturbed."""
    return f"{name}, {members} members"


def of_seeds(name: str, seeds: int) -> str:
    """Returns the label of models that were trained with different seeds."""
    return f"{name}, {seeds} seeds"


def of_neighbourhood(name: str, side: int) -> str:
    """Returns the label of the probabilities that windows of one forecast give."""
    return f"{name}, {side} x {side} pixels"


def of_recalibrated(label: str) -> str:
    """Returns the label of probabilities that are recalibrated."""
    return f"{label}, recalibrated"
