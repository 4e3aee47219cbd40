"""Names that a message offers where an unknown one came in."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns the known names that are like `name`, or all of them, joined by commas."""
    known = sorted(known)
    return ", ".join(difflib.get_close_matches(name, known) or known)
