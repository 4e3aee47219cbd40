"""Forecasts as pages of HTML."""

import contextlib
import json
import re

import numpy as np
import pytest

from mslstm_keras import __version__
from mslstm_keras.figures.page import clip_forecast_page, rain_forecast_page
from mslstm_keras.figures.rain import NO_RAIN, RAIN_COLOURS, RAIN_LEVELS
from tests.figures.test_rain import RATES, degrees, maps
from tests.support.pages import read, shown
from tests.support.pictures import rgb
from tests.support.processes import no_file_larger_than

MINUS = "\N{MINUS SIGN}"


def storms():
    """Three observed maps and four of a forecast, of all rates, and with a column that nobody observed."""
    observed, forecast = maps([1] * 3, "2010-08-26T23:50"), maps([1] * 4, "2010-08-27T00:05")
    for number, rates in enumerate((*observed, *forecast)):
        rates[:] = np.roll(np.resize(RATES, 200).reshape(10, 20), number, 1)
        rates[:, 3] = np.nan
    return observed, forecast


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "a.html"
    title = 'KNMI "R&D" <script>alert(1)</script>'
    rain_forecast_page(
        *storms(), path, title=title, facts={"Licence": "CC BY <4.0>", "Model": "ms_lstm"}, fps=20
    )
    return path


def captions(reader):
    return re.findall(r"(observed|forecast) (20\d\d-\S+ \S+ UTC, \S+ min)", reader.text)


def test_the_file_needs_nothing_beside_it(page):
    text, reader = page.read_text(encoding="utf-8"), read(page)
    assert not re.search(r"https?:|url\(|@import|<link|src=\"(?!data:image/png;base64,)", text)
    for _, attributes in reader.tags:
        assert attributes.get("href", "#").startswith("#")
        assert not {"srcset", "onload", "style"} & set(attributes)
    [policy] = [each["content"] for each in reader.attributes("meta") if "http-equiv" in each]
    hashed = r"'sha256-[\w+/]{43}='"
    assert re.fullmatch(
        rf"default-src 'none'; img-src data:; style-src {hashed}; base-uri 'none'; form-action 'none'; "
        rf"script-src {hashed}",
        policy,
    )
    assert list(page.parent.iterdir()) == [page]


def test_names_are_text(page):
    text, reader = page.read_text(encoding="utf-8"), read(page)
    assert text.count("<script>") == text.count("</script>") == 1
    assert reader.text.startswith('KNMI "R&D" <script>alert(1)</script> KNMI "R&D" <script>alert(1)</script>')
    assert reader.text.endswith(f"LicenceCC BY <4.0> Modelms_lstm Made bymslstm-keras {__version__}")


def test_every_map_has_its_time_and_lead_time(page):
    reader = read(page)
    days = [
        "2010-08-26 23:50",
        "2010-08-26 23:55",
        *(f"2010-08-27 00:{minute:02}" for minute in range(0, 21, 5)),
    ]
    leads = [f"{MINUS}10", f"{MINUS}5", "0", "+5", "+10", "+15", "+20"]
    expected = [
        ("forecast" if "+" in lead else "observed", f"{day} UTC, {lead} min")
        for day, lead in zip(days, leads, strict=True)
    ]
    assert captions(reader) == expected
    assert [each["alt"] for each in reader.attributes("img")] == [
        f"rain, {kind}: {label}" for kind, label in expected
    ]
    assert [each["class"] for each in reader.attributes("figure")] == [kind for kind, _ in expected]
    [slider] = reader.attributes("input")
    assert (
        slider.items()
        >= {"type": "range", "min": "0", "max": "6", "value": "2", "aria-label": "Time"}.items()
    )


def test_pixels_have_the_colours_of_their_rates(page):
    observed, forecast = storms()
    colours = np.array([rgb(colour) for colour in (NO_RAIN, *RAIN_COLOURS)])
    pictures = read(page).pixels()
    assert len(pictures) == 7
    for picture, rates in zip(pictures, (*observed.values, *forecast.values), strict=True):
        there = ~np.isnan(rates)
        np.testing.assert_array_equal(picture[..., 3], 255 * there)
        expected = colours[np.searchsorted(RAIN_LEVELS, rates[there], "right")]
        np.testing.assert_array_equal(picture[there][:, :3], expected)


def test_the_colours_are_explained(page):
    reader = read(page)
    fills = [each["fill"] for each in reader.attributes("rect") if "fill" in each]
    assert fills == [NO_RAIN, *RAIN_COLOURS, "none"]
    assert "mm/h below 0.1 0.1–0.5 0.5–1 1–2 2–5 5–10 10–20 20–30 30–50 50 and more no data" in reader.text


def test_coasts_lie_above_every_map(tmp_path, monkeypatch):
    """Once in the file, in pixels of the picture."""
    coast = np.array([[0, 3], [1599.96, 12.5]])
    monkeypatch.setattr("mslstm_keras.figures.page.coast_lines", lambda maps: [coast, coast[:, ::-1]])
    pair = [maps([1], f"2010-08-26T00:0{minute}", size=(40, 1600)) for minute in (0, 5)]
    rain_forecast_page(*pair, tmp_path / "a.html")
    reader = read(tmp_path / "a.html")
    [path] = reader.attributes("path")
    assert path["d"] == "M0.0 1.5L800.0 6.2M1.5 0.0L6.2 800.0" and path["id"] == "coasts"
    assert [each["href"] for each in reader.attributes("use")] == ["#coasts"] * 2
    assert [each.get("viewbox") for each in reader.attributes("svg")].count("0 0 800 20") == 2
    with shown(tmp_path / "a.html", tmp_path / "browser") as browser:
        drawn = browser.value(f"{CAPTION}[0].querySelector('use').getBoundingClientRect().toJSON()")
        image = browser.value(f"{CAPTION}[0].querySelector('img').getBoundingClientRect().toJSON()")
    np.testing.assert_allclose(drawn["width"], image["width"], rtol=0.02)


@pytest.mark.parametrize(
    ("change", "name", "length"),
    [
        (lambda maps: maps, "5 km", 5),
        (degrees, "2 km", 3.6),
        (lambda maps: maps.drop_vars("x"), None, None),
    ],
)
def test_the_scale_bar(tmp_path, change, name, length):
    """As long in pixels of the map as it says."""
    rain_forecast_page(
        change(maps([1], "2010-08-26T00:00")), change(maps([1], "2010-08-26T00:05")), tmp_path / "a.html"
    )
    reader = read(tmp_path / "a.html")
    bars = [float(each["width"]) for each in reader.attributes("rect") if each["width"] != "100%"]
    assert re.findall(r"\d+ km", reader.text) == [name] * len(bars) == ([name] * 2 if name else [])
    np.testing.assert_allclose(bars, [length] * len(bars), rtol=0.01)
    assert "no data" not in reader.text


def test_large_maps_are_drawn_by_the_means_of_blocks(tmp_path):
    observed = maps([12], "2010-08-26T00:00", size=(40, 1600))
    forecast = maps([12], "2010-08-26T00:05", size=(40, 1600))
    forecast[:, ::2] = 0  # mean 6
    rain_forecast_page(observed, forecast, tmp_path / "a.html")
    first, second = read(tmp_path / "a.html").pixels()
    assert first.shape == second.shape == (20, 800, 4)
    assert (second[..., :3] == rgb(RAIN_COLOURS[4])).all()
    assert (first[..., :3] == rgb(RAIN_COLOURS[5])).all()


def test_twenty_maps_of_a_country_are_a_few_megabytes(tmp_path):
    """Even if no two pixels beside each other are alike."""
    rates = np.random.default_rng(0).exponential(3, (765, 700)).astype("float32")
    observed = maps([1] * 10, "2010-08-26T00:00", size=(765, 700)) * rates
    forecast = maps([1] * 10, "2010-08-26T00:50", size=(765, 700)) * rates
    rain_forecast_page(
        observed.assign_attrs(units="mm/h"), forecast.assign_attrs(units="mm/h"), tmp_path / "a.html"
    )
    assert (tmp_path / "a.html").stat().st_size < 8e6


def clip(frames, channels=1, seed=0):
    return np.random.default_rng(seed).random((frames, 8, 12, channels), "float32")


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_page_of_a_clip(tmp_path, channels):
    observed, forecast = clip(2, channels), clip(3, channels, seed=1)
    observed[:, 0] = np.nan
    forecast[0, 0, :2] = [[-3], [3]]
    clip_forecast_page(observed, forecast, tmp_path / "a.html", title="Digits")
    reader = read(tmp_path / "a.html")
    labels = ["observed frame 1/2", "observed frame 2/2", *(f"forecast frame +{lead}" for lead in (1, 2, 3))]
    assert re.findall(r"\w+ frame [+\d/]+", reader.text) == labels
    assert "no data" in reader.text and "mm/h" not in reader.text
    frames = np.concatenate([observed, forecast])
    split = np.split(frames, 2, -1) if channels == 2 else [frames]
    pictures = [channel[time] for time in range(5) for channel in split]
    found = reader.pixels()
    assert len(found) == len(pictures)
    for picture, frame in zip(found, pictures, strict=True):
        there = ~np.isnan(frame).any(-1)
        np.testing.assert_array_equal(picture[..., 3], 255 * there)
        levels = np.rint(255 * np.clip(frame[there], 0, 1))
        np.testing.assert_array_equal(picture[there][:, :3], np.broadcast_to(levels, (len(levels), 3)))
    names = [each["alt"] for each in reader.attributes("img")][-len(split) :]
    channel = [", channel 1", ", channel 2"] if channels == 2 else [""]
    assert names == [f"frame{name}, forecast: frame +3" for name in channel]


STUB = """
const element = (more) => ({
  hidden: false, attributes: {}, listeners: {}, ...more,
  setAttribute(name, value) { this.attributes[name] = value; },
  addEventListener(name, call) { this.listeners[name] = call; },
});
const elements = {
  slider: element({ value: START }),
  play: element({ dataset: { milliseconds: "50" }, textContent: "Play" }),
  controls: element({ hidden: true }),
  moments: element({ classes: [], classList: { add: (name) => elements.moments.classes.push(name) } }),
};
const shown = LABELS.map((textContent) => element({ querySelector: () => ({ textContent }) }));
const document = element({
  getElementById: (name) => elements[name],
  querySelectorAll: (which) => (which === "#moments > figure" ? shown : []),
});
let running = null;
const setInterval = (call, milliseconds) => (running = { call, milliseconds });
const clearInterval = (timer) => { if (timer === running) running = null; };
const press = (key, more) => document.listeners.keydown({ key, preventDefault() {}, ...more });
const visible = () => shown.flatMap((figure, number) => (figure.hidden ? [] : [number])).join();
"""


def test_the_script(page):
    """Run by V8 on the few elements that it asks for, for machines without a browser."""
    racer = pytest.importorskip("py_mini_racer", reason="running JavaScript needs mini-racer")
    text, labels = page.read_text(encoding="utf-8"), [" ".join(parts) for parts in captions(read(page))]
    [start] = [each["value"] for each in read(page).attributes("input")]
    with contextlib.closing(racer.MiniRacer()) as engine:
        engine.eval(STUB.replace("START", repr(start)).replace("LABELS", json.dumps(labels)))
        engine.eval(re.search("<script>(.*)</script>", text, re.DOTALL)[1])

        def at(number, *calls):
            for call in calls:
                engine.eval(f"{call};")
            assert engine.eval("visible()") == str(number)
            assert int(engine.eval("String(slider.value)")) == number
            assert engine.eval("slider.attributes['aria-valuetext']") == labels[number]

        at(2)
        assert engine.eval("[elements.controls.hidden, elements.moments.classes].join()") == "false,single"
        at(3, "press('ArrowRight')")
        at(3, "press('ArrowRight', { altKey: true })", "press('a')")  # the way back in the browser's history
        at(6, *["press('ArrowRight')"] * 5)
        at(0, *["press('ArrowLeft')"] * 9)
        at(4, "slider.value = '4'", "slider.listeners.input()")
        at(5, "button.listeners.click()", "running.call()")
        assert engine.eval("[button.textContent, running.milliseconds].join()") == "Pause,50"
        at(0, *["running.call()"] * 2)
        at(1, "press('ArrowRight')")  # ends the film
        assert engine.eval("[button.textContent, running].join()") == "Play,"
        at(2, "button.listeners.click()", "running.call()", "button.listeners.click()")
        assert engine.eval("[button.textContent, running].join()") == "Play,"


CAPTION = "[...document.querySelectorAll('figure')].filter(each => each.checkVisibility())"
VISIBLE = f"{CAPTION}.map(each => each.querySelector('figcaption').textContent).join('; ')"
PIXEL = f"""(async () => {{
  const image = {CAPTION}[0].querySelector('img');
  await image.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  return [...context.getImageData(0, 0, 3, 1).data];
}})()"""


def test_the_slider_the_keys_and_the_button_in_a_browser(page, tmp_path):
    labels = [" ".join(parts) for parts in captions(read(page))]
    pictures = [picture[0, :3].ravel().tolist() for picture in read(page).pixels()]
    with shown(page, tmp_path / "browser") as browser:

        def at(number):
            assert browser.value(VISIBLE) == labels[number]
            assert browser.value("slider.getAttribute('aria-valuetext')") == labels[number]
            assert browser.value(PIXEL) == pictures[number]

        at(2)  # the last that was observed
        browser.press("ArrowRight")
        at(3)
        for _ in range(5):
            browser.press("ArrowRight")
        at(6)  # the last of all
        browser.press("ArrowLeft")
        at(5)
        browser.click("#slider", across=0.01)
        at(0)
        browser.press("ArrowRight")  # the slider has the focus, and moves by one all the same
        at(1)
        browser.click("#play")
        assert browser.value("button.textContent") == "Pause"
        changes = """new Promise(done => {
          const seen = [];
          new MutationObserver(() => {
            seen.push(slider.getAttribute('aria-valuetext'));
            if (seen.length === 8) done(seen);
          }).observe(slider, { attributes: true, attributeFilter: ['aria-valuetext'] });
        })"""
        seen = browser.value(changes)
        first = labels.index(seen[0])
        assert seen == [labels[(first + number) % 7] for number in range(8)]
        browser.click("#play")
        assert browser.value("[button.textContent, timer]") == ["Play", None]
        assert browser.faults == []
        assert {address.partition(":")[0] for address in browser.requests} == {"file", "data"}
        # The policy holds: nothing from elsewhere, no other script.
        browser.value(
            "new Promise(done => { const other = new Image(); other.onerror = done; "
            "other.src = 'http://localhost:1/a.png'; })"
        )
        assert "Content Security Policy" in browser.faults[0]["entry"]["text"]


@pytest.mark.parametrize("width", [320, 1400])
def test_the_page_fits_into_windows(page, tmp_path, width):
    with shown(page, tmp_path / "browser", size=(width, 700)) as browser:
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1, mobile=False
        )
        assert browser.value("document.documentElement.scrollWidth") <= width
        box = browser.value(f"{CAPTION}[0].querySelector('img').getBoundingClientRect().toJSON()")
        assert 0.8 * min(width, 1050) < box["width"] <= width and box["height"] < 600
        np.testing.assert_allclose(box["width"] / box["height"], 2, rtol=0.01)  # pixels stay squares


def test_without_scripts_all_maps_are_shown(page, tmp_path):
    with shown(page, tmp_path / "browser", scripts=False) as browser:
        assert browser.value(f"{CAPTION}.length") == 7
        assert not browser.value("document.getElementById('controls').checkVisibility()")
        assert "Scripts are off" in browser.value("document.body.innerText")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda path: rain_forecast_page(*reversed(storms()), path), "`forecast` must be of times behind those"),
        (lambda path: rain_forecast_page(*storms(), path, fps=0), r"`fps` must lie in \[0.01, 50\]. Received: fps=0"),
        (lambda path: clip_forecast_page(clip(1, 4), clip(1, 4), path), "`observed` must have 1 to 3 channels"),
        (lambda path: clip_forecast_page(clip(1), clip(1) * np.nan, path), "`forecast` must be finite"),
    ],
)  # fmt: skip
def test_what_is_no_page(tmp_path, call, said):
    with pytest.raises(ValueError, match=said):
        call(tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("old")
    with no_file_larger_than(1000), pytest.raises(OSError, match=r"File too large: '.*a.html'"):
        rain_forecast_page(*storms(), path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
