"""The folder of source files that a user of TFDS names."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def manual_folder(dl_manager: "tfds.download.DownloadManager", files: str) -> Path:
    """Returns the folder of source files that the user named.

    Args:
        dl_manager: TFDS download manager of the data set, which must have `MANUAL_DOWNLOAD_INSTRUCTIONS`.
        files: str. What an error says that the folder must hold.

    Raises:
        ValueError: if there is no such folder, or nothing in it.
    """
    try:
        return Path(dl_manager.manual_dir)
    except AssertionError as error:
        received = str(error).partition(" Create it")[0]  # TFDS goes on with all of the instructions
        raise ValueError(
            f"`manual_dir` must hold {files}: `mslstm data prepare NAME --manual-dir FOLDER`. Received: {received}"
        ) from error


def given_folder(dl_manager: "tfds.download.DownloadManager") -> Path | None:
    """Returns the folder of source files that the user named, None if there is none that holds anything."""
    try:
        return Path(dl_manager.manual_dir)
    except AssertionError:  # TFDS: the folder does not exist or is empty
        return None
