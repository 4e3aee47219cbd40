"""Models as other runtimes load them."""

import numpy as np
import pytest

from mslstm_keras.contracts.models import CONTEXT_FRAMES, random_frames
from mslstm_keras.export.formats import FORMATS
from tests.support.equations import assert_close

pytestmark = [pytest.mark.usefixtures("many_models"), pytest.mark.slow]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ["ms_lstm", "traj_gru"])
def test_every_format_gives_the_forecast_of_keras_in_its_own_runtime(name, format, exported):
    assert 0 <= exported(name, format).deviation < 1e-5


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_kept_is_what_was_compared(format, exported):
    model, path, _ = exported("ms_lstm", format)
    frames = random_frames(length=CONTEXT_FRAMES, batch=1, seed=4)
    received = FORMATS[format].load(path)(frames)
    assert_close(received, np.array(model(frames))[:, CONTEXT_FRAMES - 1 :], 1e-5)
    written = {path.name, "model.bin"} if format == "openvino" else {path.name}
    assert {each.name for each in path.parent.iterdir()} == written
