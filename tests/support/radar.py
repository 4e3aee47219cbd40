"""Radar clips with missing pixels, prepared from maps that are written here."""

import numpy as np

from mslstm_keras.data.preparation import prepare
from tfds_builders.dwd_radar_clips.make_dummy_data import times, write_rydl

RADAR = "dwd_radar_clips/holes"
TRAIN_CLIPS, TEST_CLIPS = 4, 3
FRAME = (8, 8, 1)


def prepare_radar(folder, under_the_mask, dtype="float32"):
    """Prepares `RADAR`: 8 maps of 8 x 8 pixels a clip, each the mean of 5 x 5 of the source's.

    Args:
        folder: for source and data set.
        under_the_mask: float. What the source holds where it was observed, mm in 5 minutes, within the pixels of the
            data set that count as missing, as not all of their source was observed.

        dtype: str. "float32" or "uint8", of the frames of the data set.

    Returns:
        Which pixels were observed of the maps of "train" and of "test", (clips, 8, 8, 8, 1).
    """
    observed = {}
    maps = {}
    random = np.random.default_rng(4)
    for split, first, clips in (("train", "2010-06-01", TRAIN_CLIPS), ("test", "2016-06-01", TEST_CLIPS)):
        seen = random.random((8 * clips, *FRAME[:2])) > 0.2
        seen[:, :, :2] = False
        seen[5] = seen[9] = False  # nothing of these maps
        depth = random.uniform(0, 2, (8 * clips, 40, 40)) * (random.random((8 * clips, 40, 40)) > 0.5)
        blocks = depth.reshape(-1, 8, 5, 8, 5)  # a view
        blocks.swapaxes(2, 3)[~seen] = under_the_mask
        blocks.swapaxes(2, 3)[~seen, 2, 2] = np.nan
        maps |= dict(zip(times(first, 8 * clips, 30), depth.astype("float32"), strict=True))
        observed[split] = seen.reshape(clips, 8, *FRAME)
    (folder / "source").mkdir(parents=True)
    write_rydl(folder / "source" / "RYDL.hdf5", maps)
    name, _, variant = RADAR.partition("/")
    settings = {"map_size": "[40,40]", "dtype": dtype}
    prepare(f"{name}/germany", folder, folder / "source", variant=variant, settings=settings)
    return observed
