"""Scores beside costs."""

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.evaluation import pareto
from mslstm_keras.evaluation.pareto import pareto_figure, pareto_front
from tests.evaluation.test_tables import COST, EVALUATION


@pytest.mark.parametrize("better", [1, -1])
def test_the_front_is_what_nobody_beats(better):
    generator = np.random.default_rng(0)
    points = {name: tuple(generator.integers(0, 6, 2).tolist()) for name in "abcdefghijkl"}
    points["m"] = points["a"]

    def beats(one, other):
        gain = better * (one[1] - other[1])
        return one[0] <= other[0] and gain >= 0 and one != other

    expected = {name for name in points if not any(beats(points[other], points[name]) for other in points)}
    found = pareto_front(points, better)
    assert set(found) == expected
    assert [points[name][0] for name in found] == sorted(points[name][0] for name in found)
    assert ("a" in found) == ("m" in found)


def test_the_picture_is_drawn_and_the_front_returned(tmp_path):
    assert pareto_figure(EVALUATION, tmp_path / "a.png") == ["good_one"]
    assert pareto_figure(EVALUATION, tmp_path / "b.png", metric="ssim", cost="seconds") == ["bad"]
    assert set(pareto_figure(EVALUATION, tmp_path / "c.png", cost="seconds, Keras")) == {"bad", "good_one"}
    first, other = (np.asarray(Image.open(tmp_path / name).convert("L")) for name in ("a.png", "c.png"))
    assert first.shape == other.shape and (first != other).any()


@pytest.mark.parametrize("costs", [(1.01e9, 1.48e9), (1e9, 1.02e9), (0.9e9, 6e9), (0.2e9, 16e9)])
def test_the_axis_of_costs_has_three_numbers_at_least(costs, tmp_path, monkeypatch):
    cost = {name: {**COST, "macs": macs} for name, macs in zip(("good_one", "bad"), costs, strict=True)}
    drawn = []
    monkeypatch.setattr(pareto, "save", lambda figure, path: drawn.append(figure))
    pareto_figure({**EVALUATION, "cost": cost}, tmp_path / "a.png")
    (axes,) = drawn[0].axes
    low, high = axes.get_xlim()
    ticks = axes.xaxis.get_major_ticks()
    shown = {tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high}
    assert len(shown - {""}) >= 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"cost": "watts"},
            "`cost` must begin one of those that are there: parameters, millions; .* Received: cost='watts'",
        ),
        ({"metric": "psnr"}, "`metric` must be a score that is there .* Received: metric='psnr'"),
    ],
)
def test_what_is_not_there_is_refused(given, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        pareto_figure(EVALUATION, tmp_path / "a.png", **given)
    assert not list(tmp_path.iterdir())


def test_without_costs_it_is_said_how_to_have_them(tmp_path):
    plain = {key: value for key, value in EVALUATION.items() if key != "cost"}
    with pytest.raises(ValueError, match="none, as it was made without --cost"):
        pareto_figure(plain, tmp_path / "a.png")
