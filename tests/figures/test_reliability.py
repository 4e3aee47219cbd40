"""How good probabilities are, drawn."""

import numpy as np
import pytest

from mslstm_keras.figures import reliability as module
from mslstm_keras.figures.drawing import LINES
from mslstm_keras.figures.reliability import probability_figure
from tests.support.pictures import WARNING, near, pixels, rgb

SHARES = [0.0, 0.25, 0.5, 0.75, 1.0]


def diagram(observed, counts=(80, 10, 5, 3, 2)):
    """Of five bins that forecasts fell into, and one that none did."""
    return {"forecast": [*SHARES, None], "observed": [*observed, None], "count": [*counts, 0]}


def ensemble(observed=SHARES, spread=(0.5, 1, None)):
    return {
        "members": 4,
        "reliability": {"1": diagram(observed), "5": diagram(observed)},
        "spread": {"per_frame": spread},
        "rmse": {"per_frame": [1, 2, None]},
        "ranks": {"count": [4, 1, 1, 1, 3], "left_out": 7},
    }


NEAR = {"reliability": {"1": diagram(SHARES), "5": diagram(SHARES)}}
SINGLE = {
    "members": 1,
    "reliability": {"1": diagram(SHARES), "5": diagram(SHARES)},
    "spread": None,
    "ranks": None,
}


def scores(thresholds=(1, 5), interval=5.0, **forecasts):
    return {"thresholds": list(thresholds), "interval": interval, "units": "mm/h", "forecasts": forecasts}


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """Draws, and returns the figure, whose curves tell what was drawn."""
    drawn = []
    save = module.save
    monkeypatch.setattr(module, "save", lambda figure, path: (drawn.append(figure), save(figure, path)))

    def draw(of, **look):
        probability_figure(of, tmp_path / "a.png", **look)
        return drawn[-1]

    return draw


def lines(axes, colour):
    return [line for line in axes.lines if line.get_color() == colour]


def test_reliability_counts_spread_and_ranks(figure):
    given = scores(**{"a": ensemble(), "near": NEAR, "one": SINGLE})
    first, below, second, _, spread, ranks = figure(given).axes
    assert first.get_title("left") == "reliability, 1 mm/h and more"
    assert second.get_title("left") == "reliability, 5 mm/h and more"
    (curve,) = lines(first, LINES[0])
    np.testing.assert_array_equal(curve.get_xydata(), np.stack([SHARES, SHARES], axis=1))
    assert len(first.lines) == 3, "the diagonal, the ensemble and the neighbourhood"
    (share,) = lines(below, LINES[0])
    np.testing.assert_allclose(share.get_ydata(), [0.8, 0.1, 0.05, 0.03, 0.02])
    error, apart = lines(spread, LINES[0])
    np.testing.assert_array_equal(error.get_xdata(), [5, 10, 15])
    np.testing.assert_array_equal(error.get_ydata(), [1, 2, np.nan])
    np.testing.assert_array_equal(apart.get_ydata(), [0.5, 1, np.nan])
    assert apart.get_linestyle() == "--" and spread.get_xlabel() == "lead time (minutes)"
    (stairs,) = ranks.patches
    np.testing.assert_allclose(stairs.get_data().values, [2, 0.5, 0.5, 0.5, 1.5])


def test_what_is_recalibrated_is_dotted_in_the_colour_of_what_it_recalibrates(figure):
    better = {"reliability": {"1": diagram([0.1, 0.2, 0.5, 0.6, 0.7])}, "recalibrates": "near"}
    alone = {**better, "recalibrates": "one"}
    given = {
        "a": ensemble(),
        "near": NEAR,
        "near, recalibrated": better,
        "one": SINGLE,
        "one, recalibrated": alone,
    }
    drawn = figure(scores(thresholds=[1], **given))
    reliability, counts = drawn.axes[:2]
    before, after = lines(reliability, LINES[1])
    assert (before.get_linestyle(), after.get_linestyle()) == ("-", ":")
    np.testing.assert_array_equal(after.get_ydata(), [0.1, 0.2, 0.5, 0.6, 0.7])
    assert len(reliability.lines) == 4 and len(lines(counts, LINES[1])) == 2
    assert reliability.get_title("left") == "reliability, 1 mm/h and more (dotted: recalibrated)"
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["a", "near"]
    only = {key: each for key, each in given.items() if not key.startswith("near")}
    assert "dotted" not in figure(scores(thresholds=[1], **only)).axes[0].get_title("left")


def test_without_ensembles_there_is_reliability_alone(figure):
    drawn = figure(scores(near=NEAR, one=SINGLE))
    assert len(drawn.axes) == 4
    assert len(figure(scores(near=NEAR, thresholds=[1])).axes) == 2
    with pytest.raises(ValueError, match=r"`scores` must be of more than single forecasts\. Received: none"):
        figure(scores(one=SINGLE))


def test_lead_times_are_frames_where_no_interval_is_known(figure):
    spread = figure(scores(a=ensemble(), interval=None)).axes[-2]
    assert spread.get_xlabel() == "lead time (frames)"
    np.testing.assert_array_equal(spread.lines[0].get_xdata(), [1, 2, 3])


def test_pictures_say_what_is_synthetic_and_which_curve_is_which(figure, tmp_path):
    plain = figure(scores(**{"a_b, 4 members": ensemble()}), title="$maps$")
    assert [text.get_text() for text in plain.legends[0].get_texts()] == ["a_b, 4 members"]
    assert plain.legends[0].get_title().get_text() == "$maps$"
    picture = pixels(tmp_path / "a.png")
    assert near(picture, rgb(LINES[0])).any() and not near(picture, WARNING).any()
    made_up = figure(scores(a=ensemble()), title="digits", synthetic=True)
    assert made_up.legends[0].get_title().get_text() == "synthetic data: digits"
    assert near(pixels(tmp_path / "a.png"), WARNING).any()
