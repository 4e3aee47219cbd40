"""The convolutions of a network: all of them, and computed by the roofline."""

import pytest

from benchmarks.convolutions import find_convolutions, gigaflops, roofline
from benchmarks.workload import Workload

# A map of 8 x 8 with 2 x 2 x 3 = 12 channels; three layers are a pyramid of scales 1, 2, 1.
SIZE = {"batch_size": 5, "side": 16, "channels": 3, "patch_size": 2, "filters": 4, "layers": 3}
TIME = {"context_frames": 2, "forecast_frames": 3}
EMBED = HEAD = 2 * 8 * 8 * 12 * 4
CONV_LSTM_CELL = 2 * 8 * 4 * 4 * 3 * 3  # for each pixel
MK_LSTM_CELL = 2 * (8 * 16 * 3 * 3 + 8 * 16 * 5 * 5 + 4 * 4 * 3 * 3 + 4 * 4 * 5 * 5 + 8 * 4)


@pytest.mark.parametrize(
    ("model", "count", "flops"),
    [
        ("conv_lstm", 3, 3 * 8 * 8 * CONV_LSTM_CELL),
        ("sms_lstm", 3, (64 + 16 + 64) * CONV_LSTM_CELL),
        ("tms_lstm", 15, 3 * 8 * 8 * MK_LSTM_CELL),
        ("ms_lstm", 15, (64 + 16 + 64) * MK_LSTM_CELL),
    ],
)
def test_arithmetic_is_that_of_the_equations(model, count, flops):
    workload = Workload(model, **SIZE, **TIME)
    convolutions = find_convolutions(workload)
    assert len(convolutions) == count + 2
    assert sum(convolution.flops for convolution in convolutions) == EMBED + flops + HEAD
    whole = 5 * 4 * (EMBED + flops + HEAD) / 1e9  # clips, steps
    assert gigaflops(convolutions, workload) == pytest.approx(whole)
    assert gigaflops(convolutions, workload, "training") == pytest.approx(3 * whole)


@pytest.mark.parametrize("name", ["forward", "training"])
def test_roofline_computes_at_every_step(name):
    """Its result is a sum over all results: what is left out or computed once is missing there."""
    workload = Workload("ms_lstm", **SIZE, context_frames=1, forecast_frames=1)
    convolutions = find_convolutions(workload)
    once = roofline(convolutions, workload, name)()
    single = sum(roofline([convolution], workload, name)() for convolution in convolutions[:1])
    assert once > single > 0
    longer = Workload("ms_lstm", **SIZE, context_frames=2, forecast_frames=3)
    assert roofline(convolutions, longer, name)() == pytest.approx(4 * once, rel=1e-5)
