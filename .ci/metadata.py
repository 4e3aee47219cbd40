"""What a distribution says of itself and the tree does not: where the project is.

hatchling runs this hook. Where `MSLSTM_KERAS_REPOSITORY` names the address of the repository, the README's links and
pictures are absolute, as an index of packages shows it away from its files, and the project's links are given.
"""

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)(\[[^\]]*\]\()(?!https?:|#)([^)\s]+)")


class RepositoryHook(MetadataHookInterface):
    """Adds `readme` and `urls`."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict) -> None:
        repository = os.environ.get("MSLSTM_KERAS_REPOSITORY", "").rstrip("/")
        text = (Path(self.root) / "README.md").read_text()
        urls = {}
        if repository:
            # A picture is shown by its bytes, a page by its address.
            text = LINK.sub(
                lambda m: f"{m[1]}{m[2]}{repository}/{'raw' if m[1] else 'blob'}/main/{m[3]}", text
            )
            urls = {
                "Source": repository,
                "Documentation": f"{repository}/tree/main/docs",
                "Issues": f"{repository}/issues",
                "Changelog": f"{repository}/blob/main/CHANGELOG.md",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = urls
