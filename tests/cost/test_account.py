"""Costs counted by hand, the paper's tables by its own rule, and the parameters of the public code."""

import json
from types import SimpleNamespace

import keras
import pytest

from mslstm_keras import SpatiotemporalCell, architecture
from mslstm_keras.cells import motion_rnn, pred_rnn_plus_plus, pred_rnn_v2
from mslstm_keras.cells.cms_lstm import CMSLSTMCell
from mslstm_keras.cells.conv_lstm import ConvLSTMCell
from mslstm_keras.cells.mim import mim
from mslstm_keras.cells.mk_lstm import MKLSTMCell
from mslstm_keras.cells.mode_rnn import MoDeRNNCell
from mslstm_keras.cells.precip_lstm import PrecipLSTMCell
from mslstm_keras.cells.pred_rnn import PredRNNCell
from mslstm_keras.cells.traj_gru import TrajGRUCell
from mslstm_keras.cost.account import cost_table, count_cost, model_cost
from mslstm_keras.cost.counting import Count, count
from mslstm_keras.cost.measurement import measure_training
from mslstm_keras.cost.published import DATA_SETS, Excess, excesses, find_data_set
from mslstm_keras.importing import import_file
from mslstm_keras.models.registry import create_model
from tests.support.golden import FOLDER, MODELS, OPTIONS, load_golden
from tests.support.own_cells import write_my_cells

STEPS, PIXELS, FILTERS = 4, 64, 4
FRAMES = (8, 8, 1), 2, 3


def small_cost(name, **options):
    return count_cost(name, *FRAMES, filters=FILTERS, **{"layers": 1, **options})


@pytest.fixture
def no_prediction(monkeypatch):
    """Leaves out what takes the longest and is tested beside `training_memory`."""
    monkeypatch.setattr("mslstm_keras.cost.account.training_memory", lambda *_: 0)


# Counted by hand


def test_a_stack_of_conv_lstm():
    found = small_cost("conv_lstm", layers=2)
    cell = 3 * 3 * (FILTERS + FILTERS) * 4 * FILTERS
    assert found.parameters == 2 * FILTERS + (FILTERS + 1) + 2 * (cell + 4 * FILTERS)
    assert found.macs == {"convolution": STEPS * PIXELS * (2 * cell + 2 * FILTERS)}
    assert found.paper_macs == found.total_macs == found.public_macs
    assert found.public_parameters == found.parameters + 2 * 4 * FILTERS


@pytest.mark.parametrize("name", ["conv_lstm", "ms_lstm"])
def test_a_model_that_is_there_costs_what_its_name_does(name):
    frame_shape, context, horizon = (16, 16, 1), 2, 3
    options = {"filters": FILTERS, "layers": 6}
    found = model_cost(create_model(name, frame_shape, context, horizon, **options))
    named = count_cost(name, frame_shape, context, horizon, **options)
    assert (found.parameters, found.macs) == (named.parameters, named.total_macs)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_memory_by_the_papers_rule(batch_size):
    found = small_cost("conv_lstm", batch_size=batch_size)
    # Four gates; sigmoid of three and tanh of one of them, three products, tanh of the memory; embedding and head.
    outputs = STEPS * PIXELS * (FILTERS * (4 + 3 + 1 + 3 + 1) + FILTERS + 1)
    assert found.paper_memory == 4 * (4 * found.parameters + 2 * batch_size * outputs)


def test_an_up_sampling_interpolates_four_values_and_counts_eleven_in_the_paper():
    found = small_cost("ms_pred_rnn", layers=3)
    values = STEPS * 2 * PIXELS * FILTERS  # of x and of m
    assert found.macs["up-sampling"] == 4 * values
    assert found.paper_macs == found.macs["convolution"] + 11 * values


def test_a_warp_interpolates_four_values():
    found = small_cost("traj_gru", links=3)
    assert found.macs["warp"] == STEPS * PIXELS * 3 * 4 * FILTERS
    assert found.paper_macs == found.macs["convolution"]


def test_attention_to_blocks():
    found = small_cost("cms_lstm", iterations=1)
    rows = 2 * PIXELS
    assert found.macs["matrix product"] == STEPS * sum(2 * rows * rows // n**2 * FILTERS for n in (1, 2, 4))
    softmax = STEPS * sum(rows * (3 * rows // n**2 - 1) for n in (1, 2, 4))
    assert found.paper_macs == found.macs["convolution"]
    assert found.public_macs == found.paper_macs + softmax


def test_attention_to_a_window():
    found = small_cost("precip_lstm", window=3)
    seen = (3 * 8 - 2) ** 2  # pairs of pixels inside the map; what is masked is computed too
    assert found.macs["matrix product"] >= STEPS * 2 * seen * FILTERS
    assert found.public_macs == found.paper_macs == found.macs["convolution"]


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("...pc,...qc->...pq", [(3, 5, 2), (3, 7, 2)], 3 * 5 * 7 * 2),
        ("bijc,bidkc->bijdk", [(3, 5, 2), (3, 4, 6, 2)], 3 * 5 * 4 * 6 * 2),
        ("bpc,bpc->bc", [(3, 2), (3, 2)], 3 * 2),
    ],
)
def test_an_equation_of_einstein(equation, shapes, macs):
    inputs = [keras.Input(shape) for shape in shapes]
    found = count(lambda tensors: keras.ops.einsum(equation, *tensors), inputs)
    assert found.macs == {"matrix product": macs}
    assert found.paper_macs == 0


def test_a_transposed_convolution():
    layer = keras.layers.Conv2DTranspose(5, 4, strides=2, padding="same")
    inputs = keras.Input((3, 6, 2))
    layer(inputs)
    found = count(lambda tensors: layer(*tensors), [inputs])
    assert found.macs == {"transposed convolution": 3 * 6 * 2 * 4 * 4 * 5}
    assert found.paper_macs == 6 * 12 * 5 * 4 * 4 * 2


def test_a_product_of_matrices():
    layer = keras.layers.Dense(5)
    inputs = keras.Input((3, 6, 2))
    layer(inputs)
    assert count(lambda tensors: layer(*tensors), [inputs]).macs == {"matrix product": 3 * 6 * 2 * 5}


# The paper's figures


PRINTED = [(data_set, name) for data_set, each in DATA_SETS.items() for name in each.table]


def paper_cost(data_set, name):
    each = DATA_SETS[data_set]
    return count_cost(name, each.frame_shape, each.context_frames, each.forecast_frames)


@pytest.mark.parametrize(("data_set", "name"), [each for each in PRINTED if each != ("germany", "ms_lstm")])
def test_figures_are_met_to_their_rounding(data_set, name, no_prediction):
    found, printed = paper_cost(data_set, name), DATA_SETS[data_set].table[name]
    assert found.printed == printed
    assert f"{found.public_parameters / 1e6:.1f}M" == f"{printed.parameters}M"
    assert f"{found.public_macs / 1e9:.1f}G" == f"{printed.macs}G"
    assert not [remark for remark in found.remarks() if "the paper prints" in remark]


def test_the_figure_that_is_not_met_is_told(no_prediction):
    found = paper_cost("germany", "ms_lstm")
    assert f"{found.public_macs / 1e9:.1f}" == "187.9"
    assert "the paper prints 260.6G MACs, its rule gives 187.9G" in found.remarks()
    assert count_cost("ms_lstm", (212, 212, 1), 4, 4).public_macs / 1e9 == pytest.approx(260.6, abs=0.05)


@pytest.mark.parametrize("changes", [{"filters": 16}, {"kernel_size": 5}, {"frame_shape": (64, 32, 1)}])
def test_other_models_have_no_figure_in_the_paper(changes, no_prediction):
    arguments = {"frame_shape": (64, 64, 1), "context_frames": 10, "forecast_frames": 10, **changes}
    assert count_cost("conv_lstm", **arguments).printed is None


# What the public code has besides


def golden_files(folder):
    found = {path.stem for path in FOLDER.glob(f"{folder}/*.npz") if not path.stem.startswith("unit_")}
    return sorted(found) or [f"{name}_b1" for name in MODELS]


def meta_of(file):
    _, meta = load_golden(file)
    return SimpleNamespace(**meta, options={OPTIONS[key]: meta[key] for key in OPTIONS if key in meta})


@pytest.mark.parametrize("public", MODELS)
def test_parameters_of_public_models(public, no_prediction, monkeypatch):
    monkeypatch.setattr("mslstm_keras.cost.account.count", lambda *_: Count({}, 0, 0))
    metas = [
        meta_of(f"models/{file}") for file in golden_files("models") if file.split("_b")[0].startswith(public)
    ]
    metas = [meta for meta in metas if meta.model == public]
    assert metas
    for meta in {(each.n_params, *each.options.items()): each for each in metas}.values():
        frames = (meta.height, meta.width, meta.in_channels), meta.in_len, meta.out_len
        found = count_cost(MODELS[public], *frames, filters=meta.hidden, layers=meta.layers, **meta.options)
        assert found.public_parameters == meta.n_params


STACKS = [
    (["ConvLSTM"], lambda: [ConvLSTMCell(8)]),
    (["MK_LSTM"], lambda: [MKLSTMCell(8)]),
    (["TrajGRU"], lambda: [TrajGRUCell(8, links=5)]),
    (["PredRNN"], lambda: [PredRNNCell(8)]),
    (["PredRNN_V2"], lambda: pred_rnn_v2.pred_rnn_v2(8, 1)),
    (["PrecipLSTM_la4"], lambda: [PrecipLSTMCell(8, window=4)]),
    (["PrecipLSTM_la5"], lambda: [PrecipLSTMCell(8, window=5)]),
    (["CMS_LSTM"], lambda: [CMSLSTMCell(8)]),
    (["MoDeRNN"], lambda: [MoDeRNNCell(8)]),
    (["MIM_layer0", "MIM_other"], lambda: mim(8, 2)),
    (["PredRNN_Plus2_other", "PredRNN_Plus2_layer1_ghu"], lambda: pred_rnn_plus_plus.pred_rnn_plus_plus(8, 2)),
    (["MotionRNN_layer0", "MotionRNN_mid", "MotionRNN_last"], lambda: motion_rnn.motion_rnn(8, 3)),
    (
        ["MotionRNN_layer0_patched", "MotionRNN_mid_patched", "MotionRNN_last_patched"],
        lambda: motion_rnn.motion_rnn(8, 3),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "stack"), STACKS, ids=lambda each: each[0] if isinstance(each, list) else ""
)
def test_parameters_of_public_cells(files, stack):
    metas = [meta_of(f"cells/{file}") for file in files]
    cells = []
    for level in stack():
        cells += level if isinstance(level, tuple) else [level]
    for cell in cells:
        cell.build((None, metas[0].height, metas[0].width, 8))
    ours = sum(cell.count_params() for cell in cells)
    assert ours + sum(each.parameters for each in excesses(cells)) == sum(meta.n_params for meta in metas)


def test_every_public_cell_is_compared():
    assert set(golden_files("cells")) - {f"{name}_b1" for name in MODELS} <= {
        file for files, _ in STACKS for file in files
    }


def test_what_is_run_in_vain_counts_and_what_is_only_built_does_not(no_prediction):
    kernel = 3 * 3 * FILTERS**2
    (biases, highway) = small_cost("pred_rnn_plus_plus", layers=3).excesses
    assert biases == Excess("a bias for each convolution, not for each gate", 2 * FILTERS)
    assert highway.what == "highway convolutions of every layer but the second, built and never run"
    assert (highway.parameters, highway.macs) == (2 * (4 * kernel + 4 * FILTERS), 0)
    _, modules, forget = small_cost("mim", layers=3).excesses
    assert modules.macs == STEPS * PIXELS * 17 * kernel
    assert forget.macs == 2 * STEPS * PIXELS * 2 * kernel


@pytest.mark.usefixtures("own_registry", "no_prediction")
def test_a_cell_of_ones_own_has_no_public_code():
    class OwnCell(SpatiotemporalCell):
        state_names = ("h",)

        def __init__(self, filters, **kwargs):
            super().__init__(filters, **kwargs)
            self.mix = self.conv()

        def call(self, inputs, states):
            h = self.mix(inputs) + states[0]
            return h, [h]

    @architecture
    def own(filters, layers):
        return [OwnCell(filters) for _ in range(layers)]

    found = small_cost("own")
    assert found.macs["convolution"] == STEPS * PIXELS * (9 * FILTERS**2 + 2 * FILTERS)
    assert found.excesses is found.public_parameters is found.public_macs is found.printed is None
    assert list(found.remarks()) == []
    row = next(line for line in cost_table([found]) if line.startswith("own"))
    assert row.split().count("-") == 5


# As text and as data


def test_table(no_prediction):
    costs = [paper_cost("germany", name) for name in ("mim", "ms_lstm")]
    lines = list(cost_table(costs))
    groups, headings, mim_row, ms_lstm_row, *rest = lines
    assert groups.rstrip().endswith("memory of training, GB")
    assert headings.split()[-1] == "paper"
    assert mim_row.split()[:8] == ["mim", "1.591", "1.844", "1.8", "360.22", "360.22", "416.66", "416.7"]
    assert ms_lstm_row.split()[6:8] == ["187.88", "260.6"]
    assert any("run and not used" in line for line in rest)
    assert rest[-1].endswith("the paper prints 260.6G MACs, its rule gives 187.9G")
    assert "forward, s" not in headings


def test_plain_data(no_prediction):
    found = small_cost("mim", layers=2)
    data = json.loads(json.dumps(found.to_dict()))
    assert data["frame_shape"] == [8, 8, 1]
    assert data["public_parameters"] == found.public_parameters
    assert data["macs"] == found.macs
    assert data["excesses"][0]["parameters"] == found.excesses[0].parameters
    assert data["remarks"] == list(found.remarks())


# Measured


@pytest.mark.slow
def test_a_model_is_measured_in_a_process_of_its_own():
    found = small_cost("conv_lstm", measure=True)
    assert found.measured.peak_bytes > 0
    assert found.measured.training_seconds > 0
    assert found.measured.forward_seconds > 0
    assert "forward, s" in list(cost_table([found]))[1]


@pytest.mark.slow
@pytest.mark.usefixtures("own_registry")
def test_a_model_of_an_own_file_is_measured(tmp_path):
    import_file(write_my_cells(tmp_path))
    assert small_cost("foo", measure=True).measured.training_seconds > 0


def test_what_does_not_fit_into_memory_is_not_run():
    assert measure_training("conv_lstm", *FRAMES, 1, needed=1 << 60) is None


# Refused


def test_refuses_another_backend(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"`cost` must be asked on the TensorFlow backend\. Received: 'jax'"):
        count(None, [])


def test_refuses_an_unknown_data_set():
    message = "`dataset` must be one of moving_mnist, taxibj, kth, germany. Received: dataset='kht'"
    with pytest.raises(ValueError, match=message):
        find_data_set("kht")


def test_passes_on_what_the_model_refuses():
    with pytest.raises(ValueError, match="`name` must be a known model"):
        count_cost("conv", *FRAMES)
    with pytest.raises(ValueError, match=r"`batch_size` must be a positive integer. Received: batch_size=0"):
        small_cost("conv_lstm", batch_size=0)
