"""The order and the times of frames: what names of files, dates and durations say of them."""
