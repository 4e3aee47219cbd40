"""Which data sets there are, and what is told of them."""

import json
import re
import shutil

import pytest

from mslstm_keras.data.catalogue import describe, facts_of, find_builder, known_facts, list_data
from mslstm_keras.data.facts import DataFacts
from mslstm_keras.data.preparation import prepare
from mslstm_keras.data.splits import split_clips
from tests.support.optdigits import OPTDIGITS
from tfds_builders.metadata import update_metadata


def test_variants_are_described_and_offered(variant):
    facts = describe("moving_mnist_clips/mine", variant)
    assert facts["clips"] == {"train": 3, "test": 2}
    assert facts["data"] == "moving_mnist_clips/mine"
    assert facts["bytes"] > 0
    assert facts["description"].startswith(
        "Variant of optdigits: train_clips = 3, test_clips = 2, motion = srivastava. optdigits: Digits that come with "
    )
    assert facts["config"] == {
        "source": "optdigits",
        "motion": "srivastava",
        "train_clips": 3,
        "test_clips": 2,
    }
    assert facts["interval"] is None
    assert (facts["sources"]["files"], facts["sources"]["folder"]) == (0, None)
    json.dumps(facts)
    with pytest.raises(ValueError, match="`data` must be a known config of moving_mnist_clips, such as mine"):
        find_builder("moving_mnist_clips/min", variant)


def test_what_is_not_prepared_is_described_all_the_same(tmp_path):
    facts = describe("dwd_radar_clips/synthetic", tmp_path)
    assert facts["clips"] == {}
    assert "synthetic" in facts["description"].lower()
    assert "frames" in facts["features"]
    assert facts["config"]["interval"] == facts["interval"] == 30
    assert facts["sources"] is None
    json.dumps(facts)


@pytest.mark.parametrize("fields", [None, {"train_clips": 3, "of_a_later_version": 1}])
def test_a_variant_that_kept_no_fields_or_other_ones_is_read_all_the_same(variant, tmp_path, fields):
    data_dir = shutil.copytree(variant, tmp_path / "copy")
    place = data_dir / "moving_mnist_clips" / "mine" / "1.0.0"
    update_metadata(place, config=fields)
    facts = describe("moving_mnist_clips/mine", data_dir)
    assert (facts["config"], facts["clips"]) == ({}, {"train": 3, "test": 2})


@pytest.mark.parametrize(
    ("data", "minutes"),
    [("taxibj_clips/both", 30), ("dwd_radar_clips/germany", 30), ("dwd_radar_clips/knmi_hours", 10)],
)
def test_configs_know_the_minutes_between_frames(data, minutes, tmp_path):
    assert find_builder(data, tmp_path).builder_config.interval == minutes


@pytest.mark.parametrize("use", [find_builder, prepare, lambda data: split_clips(data, "train")])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "moving_mnist/paper",
            "`data` must be a known data set, such as moving_mnist_clips. Received: 'moving_mnist/paper'",
        ),
        (
            "moving_mnist_clips/optdigit",
            "`data` must be a known config of moving_mnist_clips, such as optdigits. Received: "
            "'moving_mnist_clips/optdigit'",
        ),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(use, data, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        use(data)


def test_listed_names_are_known():
    assert OPTDIGITS in list_data()
    for data in list_data():
        assert find_builder(data).info.full_name == f"{data}/1.0.0"
    assert find_builder("moving_mnist_clips").builder_config.name == "paper"


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        ("dwd_radar_clips/germany", DataFacts("rain rate", None, 30, 5000)),
        ("dwd_radar_clips/knmi_hours", DataFacts("rain rate", None, 10, 5000)),
        ("dwd_radar_clips/synthetic", DataFacts("rain rate", None, 30, 5000)),
        ("dwd_radar_clips/radar", DataFacts("rain rate")),
        ("taxibj_clips/inflow", DataFacts("inflow of taxis", None, 30)),
        ("taxibj_clips/both", DataFacts("inflow and outflow of taxis", None, 30)),
        ("frames_from_folder/clips", DataFacts()),
        ("moving_mnist_clips/paper", DataFacts()),
        ("kth_clips/three_actions", DataFacts()),
        ("dwd_radar_clips/unknown", DataFacts()),
        ("clips.npy", DataFacts()),
    ],
)
def test_facts_that_names_tell(data, facts):
    assert known_facts(data) == facts


def test_facts_that_a_preparation_found(tmp_path):
    builder = find_builder("dwd_radar_clips/radar", tmp_path)
    assert facts_of(builder) == DataFacts("rain rate")
    place = tmp_path / "dwd_radar_clips" / "radar" / "1.0.0"
    place.mkdir(parents=True)
    update_metadata(place, interval=2.5, spacing=1000.0, scale="rain:dwd")
    assert facts_of(builder) == DataFacts("rain rate", "rain:dwd", 2.5, 1000)
    facts = describe("dwd_radar_clips/radar", tmp_path)
    assert [facts[name] for name in ("quantity", "interval", "spacing")] == ["rain rate", 2.5, 1000]
