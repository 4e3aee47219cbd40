"""Names of files: the order that they tell."""

import re
from pathlib import Path


def counting_order(path: Path) -> tuple[list[str | int], str]:
    """Key that sorts files by the numbers in their names: `frame10` after `frame2`."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [int(part) if part.isdecimal() else part for part in parts], path.name
