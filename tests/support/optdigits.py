"""The data set that tests prepare, as it needs no download, and the clips of it in `tests/data`."""

OPTDIGITS = "moving_mnist_clips/optdigits"
TRAIN_CLIPS, TEST_CLIPS = 11, 4
