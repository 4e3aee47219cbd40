"""Tables of all entries."""

import dataclasses

from mslstm_keras.training.recipes import Recipe
from mslstm_keras.zoo.entry import ZooEntry
from mslstm_keras.zoo.table import zoo_tables

MNIST = Recipe("mnist", data="moving_mnist_clips/paper")
OWN = Recipe("own", "conv_lstm", data="clips.npy")
RAIN = Recipe("rain", data="radar_maps/europe", scale="log:0:100 mm/h")


def entry(name, recipe, mse, **others):
    def of(part):
        return {"mse": {"mean": mse * part}} | {key: {"mean": value * part} for key, value in others.items()}

    scores = {"model": of(1), "persistence": of(2)}
    return ZooEntry(name, recipe, 1234567, 98765, scores, comparison={}, versions={}, files={})


def test_each_data_set_has_a_table_the_best_first_and_persistence_last():
    entries = {
        "worse": entry("worse", MNIST, 20.5, ssim=0.5),
        "rain": entry("rain", RAIN, 12.0, value_mae=0.25),
        "better": entry("better", MNIST, 10.25, ssim=0.75),
        "own": entry("own", OWN, 3.0),
    }
    facts = "1,234,567 | 98,765"
    assert list(zoo_tables(entries, "my_zoo")) == [
        "| `clips.npy` | clips seen | parameters | MSE | card |",
        "|---|---|---|---|---|",
        f"| `own` | {facts} | 3.000 | [card](my_zoo/own/1/README.md) |",
        "| persistence | - | - | 6.000 | - |",
        "",
        "| `moving_mnist_clips/paper` | clips seen | parameters | MSE | SSIM | the paper's MSE | card |",
        "|---|---|---|---|---|---|---|",
        f"| `better` | {facts} | 10.25 | 0.750 | 52.63 | [card](my_zoo/better/1/README.md) |",
        f"| `worse` | {facts} | 20.50 | 0.500 | 52.63 | [card](my_zoo/worse/1/README.md) |",
        "| persistence | - | - | 20.50 | 1.500 | - | - |",
        "",
        "| `radar_maps/europe` | clips seen | parameters | MSE | MAE (mm/h) | card |",
        "|---|---|---|---|---|---|",
        f"| `rain` | {facts} | 12.00 | 0.250 | [card](my_zoo/rain/1/README.md) |",
        "| persistence | - | - | 24.00 | 0.500 | - |",
    ]


def test_errors_in_units_without_a_scale_say_so():
    bare = dataclasses.replace(RAIN, scale=None)
    head = next(zoo_tables({"rain": entry("rain", bare, 12.0, value_mae=0.25)}, "zoo"))
    assert "| MAE (in units) |" in head


def test_an_empty_zoo_has_no_table():
    assert list(zoo_tables({}, "zoo")) == []
