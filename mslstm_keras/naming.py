"""Names: which are plain, and which a message offers where an unknown one came in."""

import difflib
import re
from collections.abc import Iterable


def is_plain(name: str) -> bool:
    """Returns whether a name is letters, digits, `_`, `-` and `.` that stay in the folder which they are joined to."""
    return re.fullmatch(r"\w[\w.-]*", name) is not None


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns the known names that are like `name`, or all of them, joined by commas."""
    known = sorted(known)
    return ", ".join(difflib.get_close_matches(name, known) or known)
