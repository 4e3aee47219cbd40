"""Recipes as plain data: settings from text, JSON and back, the rules between fields."""

import dataclasses
import json
import re

import pytest

from mslstm_keras.cost.published import DATA_SETS
from mslstm_keras.data.catalogue import list_data
from mslstm_keras.models.registry import create_model, list_models
from mslstm_keras.training.recipes import (
    FIRST_TRY,
    RECIPES,
    Recipe,
    field_meanings,
    find_recipe,
    list_recipes,
    rescaled,
)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("model", "conv_lstm", "conv_lstm"),
        ("name", "12", "12"),  # a text stays one, whatever it looks like
        ("frame_shape", "[32, 16, 3]", (32, 16, 3)),
        ("steps", "2000", 2000),
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", "1", 1.0),
        ("clip_norm", "2.5", 2.5),
        ("clip_norm", "2", 2.0),
        ("clip_norm", "null", None),
        ("scales", "[1, 2, 1]", (1, 2, 1)),
        ("scales", "null", None),
        ("stream", "true", True),
        ("sampling", "reverse", "reverse"),
        (
            "options",
            '{"kernel_sizes": [3, 5], "deep": {"k": [1]}}',
            {"kernel_sizes": (3, 5), "deep": {"k": (1,)}},
        ),
    ],
)
def test_settings_are_read_by_the_type_of_the_field(field, text, value):
    received = getattr(Recipe("test").with_settings({field: text}), field)
    assert received == value
    assert type(received) is type(value)


def test_settings_change_nothing_else():
    recipe = find_recipe("optdigits_quick")
    changed = recipe.with_settings({"filters": "16", "seed": "3"})
    assert changed == dataclasses.replace(recipe, filters=16, seed=3)
    assert recipe.filters == 8
    assert recipe.with_settings({}) == recipe


@pytest.mark.parametrize(
    ("field", "text", "kind"),
    [
        ("filters", "many", "int"),
        ("filters", "8.5", "int"),
        ("filters", "true", "int"),
        ("filters", '"8"', "int"),
        ("learning_rate", "true", "float"),
        ("stream", "1", "bool"),
        ("stream", "yes", "bool"),
        ("scales", "3", "tuple[int, ...] | None"),
        ("clip_norm", "false", "float | None"),
        ("frame_shape", "64,64,1", "tuple"),
        ("options", "[1]", "Mapping"),
    ],
)
def test_settings_of_another_type_are_refused(field, text, kind):
    message = f"`{field}` must be {kind}, written as JSON. Received: {text!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe("test").with_settings({field: text})


def test_unknown_fields_are_refused_with_the_nearest():
    message = "`recipe` has no such field; it has filters. Received: 'filter'"
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe("test").with_settings({"filter": "3"})
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe.from_dict({"name": "test", "filter": 3})


@pytest.mark.parametrize(
    "recipe",
    [
        *RECIPES.values(),
        Recipe("plain"),
        Recipe(
            "all",
            scales=(1, 2, 1),
            layers=3,
            options={"kernel_sizes": (1, 3)},
            clip_norm=1.0,
            stream=True,
            sampling="reverse",
        ),
    ],
    ids=lambda recipe: recipe.name,
)
def test_round_trip_through_json(recipe):
    text = json.dumps(recipe.to_dict())
    assert Recipe.from_dict(json.loads(text)) == recipe
    assert set(recipe.to_dict()) == {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(Recipe) if field.name != "name"]
)
def test_a_field_that_is_newer_than_the_file_has_its_default(field):
    fields = find_recipe("optdigits_quick").to_dict()
    del fields[field]
    recipe = Recipe.from_dict(fields)
    assert getattr(recipe, field) == getattr(Recipe("plain"), field)


def test_recipes_of_before_reverse_sampling_are_scheduled():
    assert Recipe.from_dict({"name": "old", "sampling_steps": 600}).sampling == "scheduled"


def test_a_dict_needs_a_name():
    with pytest.raises(ValueError, match=r"`fields` must hold the name .* Received: {'steps': 10}"):
        Recipe.from_dict({"steps": 10})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": 5}, "`model` must be str, written as JSON. Received: 5"),
        ({"data": None}, "`data` must be str, written as JSON. Received: None"),
        ({"steps": "many"}, "`steps` must be int, written as JSON. Received: 'many'"),
        ({"stream": "yes"}, "`stream` must be bool, written as JSON. Received: 'yes'"),
        ({"batch_size": True}, "`batch_size` must be int, written as JSON. Received: True"),
        ({"frame_shape": "abc"}, "`frame_shape` must be tuple, written as JSON. Received: 'abc'"),
        (
            {"scales": [1, 2], "clip_norm": "1"},
            "`clip_norm` must be float | None, written as JSON. Received: '1'",
        ),
    ],
)
def test_a_field_of_another_type_is_refused(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe.from_dict({"name": "test"} | fields)


@pytest.mark.parametrize("text", ["null", "5", "[" * 100_000])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(ValueError, match="`recipe` must be a readable file of a recipe"):
        find_recipe(str(tmp_path / "recipe.json"))


def test_recipes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe("test").steps = 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "`steps` must be at least 1. Received: steps=0"),
        ({"batch_size": -1}, "`batch_size` must be at least 1. Received: batch_size=-1"),
        ({"sampling_steps": 0}, "`sampling_steps` must be at least 1. Received: sampling_steps=0"),
        ({"interval_steps": 0}, "`interval_steps` must be at least 1. Received: interval_steps=0"),
        (
            {"steps": 10, "interval_steps": 4},
            "`interval_steps` must divide `steps`, so that the last step is a checkpoint. Received: "
            "interval_steps=4, steps=10",
        ),
        ({"decay_steps": 1001}, "`decay_steps` must lie in 0 .. steps=1000. Received: decay_steps=1001"),
        ({"decay_steps": -1}, "`decay_steps` must lie in 0 .. steps=1000. Received: decay_steps=-1"),
        (
            {"decay_steps": 900, "warmup_steps": 101},
            "`warmup_steps` must lie in 0 .. 100, before the learning rate falls. Received: warmup_steps=101",
        ),
        ({"warmup_steps": -1}, "`warmup_steps` must lie in 0 .. 1000, before"),
        (
            {"l1_from": 150},
            "`l1_from` must be a multiple of interval_steps=100 in 0 .. steps=1000, which is not reached. Received: "
            "l1_from=150",
        ),
        ({"l1_from": 1000}, "Received: l1_from=1000"),
        ({"l1_from": -100}, "Received: l1_from=-100"),
        ({"ema_momentum": 1.0}, "`ema_momentum` must lie between 0 and 1. Received: ema_momentum=1.0"),
        ({"ema_momentum": 0.0}, "Received: ema_momentum=0.0"),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive. Received: learning_rate=0.0"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be positive. Received: learning_rate=nan"),
        ({"clip_norm": 0.0}, "`clip_norm` must be positive. Received: clip_norm=0.0"),
        ({"interval_minutes": 0}, "`interval_minutes` must be positive. Received: interval_minutes=0"),
        ({"spacing_metres": -1.0}, "`spacing_metres` must be positive. Received: spacing_metres=-1.0"),
        (
            {"sampling": "revers"},
            "`sampling` must be one of ('scheduled', 'reverse'). Received: sampling='revers'",
        ),
        ({"dtype": "float16"}, "`dtype` must keep the weights in float32, as mixed_float16 does. Received: "),
        (
            {"gradient_accumulation_steps": 1},
            "`gradient_accumulation_steps` must be at least 2 and divide `batch_size`. Received: ",
        ),
        (
            {"gradient_accumulation_steps": 3, "batch_size": 4},
            "Received: gradient_accumulation_steps=3, batch_size=4",
        ),
        (
            {"gradient_accumulation_steps": 2, "dtype": "mixed_float16"},
            "`gradient_accumulation_steps` must be None in mixed_float16, where a part that overflows is left out",
        ),
        (
            {"steps_per_execution": 3, "interval_steps": 10},
            "`steps_per_execution` must be at least 1 and divide `interval_steps`. Received: steps_per_execution=3",
        ),
        ({"steps_per_execution": 0}, "`steps_per_execution` must be at least 1"),
        (
            {"validation_split": "tests"},
            "`validation_split` must be one of ('train', 'test'). Received: validation_split='tests'",
        ),
        ({"seed": -1}, "`seed` must lie in 0 .. 4294967295. Received: seed=-1"),
        ({"validation_clips": -1}, "`validation_clips` must be 0 or more. Received: validation_clips=-1"),
    ],
)
def test_fields_that_break_a_rule_are_refused(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe("test", **fields)


def test_settings_obey_the_rules_too():
    with pytest.raises(ValueError, match="`interval_steps` must divide `steps`"):
        Recipe("test").with_settings({"steps": "150"})


def test_all_fields_that_break_a_rule_are_named_at_once():
    with pytest.raises(ValueError, match="decay_steps") as refused:
        Recipe("test").with_settings(
            {"steps": "150", "decay_steps": "151", "sampling": "none", "scale": "a:b"}
        )
    rules = (
        "`interval_steps` must divide `steps`",
        "`sampling` must be one of",
        "`decay_steps` must lie in",
        "`range` must be LOW:HIGH",
    )
    assert all(rule in str(refused.value) for rule in rules)
    assert str(refused.value).count("Received: ") == 4


COURSE = Recipe(
    "course",
    steps=4800,
    interval_steps=100,
    warmup_steps=480,
    decay_steps=3600,
    sampling_steps=600,
    l1_from=4300,
)


def course_of(recipe):
    names = ("steps", "interval_steps", "warmup_steps", "decay_steps", "sampling_steps", "l1_from")
    return tuple(getattr(recipe, name) for name in names)


@pytest.mark.parametrize(
    ("settings", "course"),
    [
        ({"steps": "2400"}, (2400, 100, 240, 1800, 300, 2100)),  # a hundred divides them, and stays
        ({"steps": "9600"}, (9600, 100, 960, 7200, 1200, 8600)),
        ({"steps": "20"}, (20, 2, 2, 15, 2, 16)),
        ({"steps": "250"}, (250, 25, 25, 188, 31, 200)),  # rounded, and down to whole intervals
        ({"steps": "1"}, (1, 1, 0, 1, 1, 0)),
        ({"steps": "4801"}, (4801, 4801, 480, 3601, 600, 0)),  # a prime number
        ({"steps": "4800"}, course_of(COURSE)),
        ({"steps": "240", "interval_steps": "60"}, (240, 60, 24, 180, 30, 180)),
        ({"steps": "240", "decay_steps": "230"}, (240, 24, 10, 230, 30, 192)),  # no room for more warm-up
        (
            {
                "steps": "240",
                "interval_steps": "1",
                "sampling_steps": "7",
                "l1_from": "3",
                "warmup_steps": "0",
            },
            (240, 1, 0, 180, 7, 3),
        ),
        ({"steps": "240", "steps_per_execution": "8", "filters": "3"}, (240, 24, 24, 180, 30, 192)),
        ({"interval_steps": "50"}, (4800, 50, *course_of(COURSE)[2:])),  # no other length
    ],
)
def test_what_is_counted_in_steps_follows_them(settings, course):
    changed = COURSE.with_settings(settings, rescale=True)
    assert course_of(changed) == course
    names = ("steps", "interval_steps", "warmup_steps", "decay_steps", "sampling_steps", "l1_from")
    given = {name: getattr(changed, name) for name in settings}
    assert changed == dataclasses.replace(COURSE, **given | dict(zip(names, course, strict=True)))


def test_what_is_given_and_does_not_fit_is_refused_together():
    given = {"steps": "20", "interval_steps": "7", "decay_steps": "30", "l1_from": "20"}
    with pytest.raises(ValueError, match="Received") as refused:
        COURSE.with_settings(given, rescale=True)
    assert str(refused.value).split(". Received")[0].startswith("`interval_steps` must divide `steps`")
    for received in ("interval_steps=7, steps=20", "decay_steps=30", "l1_from=20"):
        assert f"Received: {received}" in str(refused.value)
    for steps in ("0", "-3"):
        with pytest.raises(ValueError, match=f"`steps` must be at least 1. Received: steps={steps}"):
            COURSE.with_settings({"steps": steps}, rescale=True)
    with pytest.raises(ValueError, match="`interval_steps` must be at least 1"):
        COURSE.with_settings({"steps": "20", "interval_steps": "0"}, rescale=True)


@pytest.mark.parametrize("recipe", [*RECIPES.values(), FIRST_TRY], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("steps", [1, 2, 20, 997, 1000, 123_456])
def test_every_recipe_can_have_any_length(recipe, steps):
    changed = rescaled(recipe, steps)
    assert changed.steps == steps
    assert rescaled(recipe, recipe.steps) == recipe
    assert abs(changed.decay_steps / steps - recipe.decay_steps / recipe.steps) <= 0.5 / steps


def test_every_field_has_a_meaning_and_no_other_name():
    meanings = field_meanings()
    assert list(meanings) == [field.name for field in dataclasses.fields(Recipe)]
    assert meanings["filters"] == "int. Channels of every cell."
    assert meanings["decay_steps"].endswith("along a cosine; 0 keeps it constant.")  # two lines
    assert all("  " not in meaning for meaning in meanings.values())


def test_named_recipes():
    assert list_recipes() == sorted(RECIPES)
    for name, recipe in RECIPES.items():
        assert find_recipe(name) is recipe
        assert recipe.name == name
        assert recipe.model in list_models()
        assert recipe.data in list_data()


@pytest.mark.parametrize(
    ("name", "epochs", "clips", "frames"),
    [
        ("moving_mnist", 40, 10_500, ((64, 64, 1), 10, 10)),
        ("taxibj", 15, 19_560, ((32, 32, 1), 4, 4)),
        ("kth", 20, 6_429, ((128, 128, 1), 10, 10)),
        ("germany", 20, 19_720, ((180, 180, 1), 4, 4)),
    ],
)
def test_the_paper_recipes_are_the_papers(name, epochs, clips, frames):
    recipe = find_recipe(f"paper_{name}")
    assert (recipe.learning_rate, recipe.batch_size, recipe.filters, recipe.layers) == (3e-4, 4, 32, 6)
    assert recipe.steps == epochs * (clips // recipe.batch_size)
    assert not recipe.stream
    assert (recipe.frame_shape, recipe.context_frames, recipe.forecast_frames) == frames
    data_set = DATA_SETS[name]  # as the paper's tables of cost have them
    assert (data_set.frame_shape, data_set.context_frames, data_set.forecast_frames) == frames


@pytest.mark.parametrize("name", RECIPES)
def test_models_of_recipes_can_be_built(name):
    recipe = find_recipe(name)
    model = create_model(
        recipe.model,
        recipe.frame_shape,
        recipe.context_frames,
        recipe.forecast_frames,
        filters=4,
        layers=recipe.layers,
        scales=recipe.scales,
        patch_size=recipe.patch_size,
    )
    assert model.output_shape[2:] == recipe.frame_shape


def test_unknown_recipes_are_refused_with_the_nearest():
    message = "`recipe` must be a known recipe, such as optdigits_quick. Received: 'optdigits_quik'"
    with pytest.raises(ValueError, match=re.escape(message)):
        find_recipe("optdigits_quik")
    with pytest.raises(
        ValueError, match=r"such as conv_lstm_moving_fashion, .*, optdigits_quick, paper_germany, paper_kth"
    ):
        find_recipe("x")


def test_a_recipe_from_a_file(tmp_path):
    recipe = Recipe("mine", filters=3, options={"kernel_sizes": (3, 5, 7)})
    path = tmp_path / "best.json"
    path.write_text(json.dumps(recipe.to_dict()))
    assert find_recipe(str(path)) == recipe


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "null", '{"name": "a", "filter": 1}', '{"name": "a", "steps": "x"}']
)
def test_a_file_without_a_recipe_is_named(text, tmp_path):
    path = tmp_path / "best.json"
    path.write_text(text)
    with pytest.raises(
        ValueError, match=re.escape(f"`recipe` must be a readable file of a recipe. Received: {path} (")
    ):
        find_recipe(str(path))
    with pytest.raises(ValueError, match=r"Received: missing\.json \(.*No such file"):
        find_recipe("missing.json")


def test_model_options_are_the_keyword_arguments_of_create_model():
    recipe = Recipe(
        "test", frame_shape=(8, 8, 1), layers=1, filters=2, options={"kernel_sizes": (3,)}, seed=4
    )
    model = create_model(recipe.model, recipe.frame_shape, 2, 2, **recipe.model_options())
    assert model.name == "ms_lstm"
    assert recipe.model_options()["kernel_sizes"] == (3,) and recipe.model_options()["seed"] == 4
