"""Configs of `frames_from_folder`: how the clips of a folder are cut, converted and split."""

from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {
    "clips": {
        "description": "20 frames after 20 frames, grey, as large as in the files; a tenth of the files is test.",
    },
}
"""Name -> description, and the fields that differ from the defaults of `FramesFromFolderConfig`."""
