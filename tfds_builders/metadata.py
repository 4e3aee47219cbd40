"""What a data set knows of itself beside what TFDS keeps: one JSON file, which TFDS shows as `info.metadata`."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from mslstm_keras.formats.checks import damage_of

METADATA = "metadata.json"


def read_metadata(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the metadata of a prepared data set, name -> plain data; none where nobody has written any.

    Raises:
        ValueError: if the file is damaged.
    """
    return read_json(Path(folder, METADATA)) or {}


def update_metadata(folder: str | os.PathLike[str], **facts: Any) -> None:
    """Adds to the metadata of a data set; other names keep what they hold.

    Args:
        folder: folder of the data set.
        **facts: name -> plain data.

    Raises:
        ValueError: if the file that is there is damaged.
        OSError: if it cannot be written; then it is what it was.
    """
    write_json(Path(folder, METADATA), read_metadata(folder) | facts)


def read_json(path: Path) -> dict[str, Any] | None:
    """Returns what a file of a data set holds, or None where there is no such file.

    Raises:
        ValueError: if the file is damaged.
    """
    with damage_of(path, "What a data set knows of itself must be a JSON object, as it was written."):
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        if not isinstance(content, dict):
            raise ValueError(f"{type(content).__name__}")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a file of a data set, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="incomplete.") as folder:
        written = Path(folder, path.name)
        written.write_text(json.dumps(content))
        os.replace(written, path)
