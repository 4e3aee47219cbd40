"""The folder of source files that a user names."""

import pytest
import tensorflow_datasets as tfds

from tfds_builders.manual_folder import given_folder, manual_folder


@pytest.mark.parametrize("exists", [False, True])
def test_manual_folder(tmp_path, exists):
    folder = tmp_path / "manual"
    if exists:
        folder.mkdir()
    arguments = {"download_dir": tmp_path, "manual_dir": folder, "manual_dir_instructions": "long\nlist"}
    with pytest.raises(ValueError) as received:
        manual_folder(tfds.download.DownloadManager(**arguments), "clips")
    assert str(received.value) == (
        "`manual_dir` must hold clips: `mslstm data prepare NAME --manual-dir FOLDER`. "
        f"Received: Manual directory {folder} does not exist or is empty."
    )
    assert given_folder(tfds.download.DownloadManager(**arguments)) is None
    folder.mkdir(exist_ok=True)
    (folder / "clip.npy").touch()
    assert given_folder(tfds.download.DownloadManager(**arguments)) == folder
    assert manual_folder(tfds.download.DownloadManager(**arguments), "clips") == folder
