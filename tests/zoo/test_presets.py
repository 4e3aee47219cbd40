"""Presets: what is saved is what comes back, whatever is damaged is refused, hosts are asked once."""

import contextlib
import http.server
import io
import json
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest

from mslstm_keras.training import recipes
from mslstm_keras.training.fit import untrained_model
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.zoo import hub
from mslstm_keras.zoo import index as zoo
from mslstm_keras.zoo.checksums import sums
from mslstm_keras.zoo.hub import fetch_preset
from mslstm_keras.zoo.loading import load_model
from mslstm_keras.zoo.presets import from_preset, list_presets, save_to_preset, verify_preset
from tests.support.folders import cut, flip, listing
from tests.support.processes import no_file_larger_than

FILES = ["checksums.json", "config.json", "metadata.json", "model.weights.h5"]
RECIPE = Recipe(
    "tiny", "conv_lstm", frame_shape=(8, 8, 1), context_frames=2, forecast_frames=3, filters=2, layers=1
)
NAMES = {"hf": "hf://someone/tiny", "kaggle": "kaggle://someone/tiny/keras/small"}
PLACES = {"hf": "hf/someone/tiny/main", "kaggle": "kaggle/someone/tiny/keras/small/latest"}
FRAMES = np.random.default_rng(0).random((1, 2, 8, 8, 1), "float32")


@pytest.fixture(scope="module")
def model():
    return untrained_model(RECIPE)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "tiny"
    save_to_preset(model, folder)
    return folder


@pytest.fixture
def preset(saved, tmp_path):
    """A copy of the saved preset, to be changed."""
    return shutil.copytree(saved, tmp_path / "tiny")


@pytest.fixture
def small_zoo(saved, tmp_path, monkeypatch):
    """A zoo of one entry, `tiny`, in place of the package's; `other` is a recipe that nobody has trained."""
    folder = tmp_path / "zoo" / "tiny"
    shutil.copytree(saved, folder / "1", ignore=shutil.ignore_patterns("checksums.json"))
    known = {"recipe": RECIPE.to_dict(), "clips_seen": 0, "parameters": 0, "files": sums(folder)}
    entry = known | {key: {} for key in ("scores", "comparison", "versions")}
    (tmp_path / "zoo" / "index.json").write_text(json.dumps({"entries": {"tiny": entry}}))
    monkeypatch.setattr(zoo, "zoo_folder", lambda: tmp_path / "zoo")
    monkeypatch.setattr(recipes, "RECIPES", {"tiny": RECIPE, "other": RECIPE})


def link(file):
    file.rename(file.parents[1] / "elsewhere")
    file.symlink_to(file.parents[1] / "elsewhere")


def relist(folder, change):
    listed = json.loads((folder / "checksums.json").read_text())
    change(listed["files"])
    (folder / "checksums.json").write_text(json.dumps(listed))


def assert_same(model, expected, weights=True):
    assert json.loads(model.to_json())["config"] == json.loads(expected.to_json())["config"]
    equal = [np.array_equal(a, b) for a, b in zip(model.get_weights(), expected.get_weights(), strict=True)]
    assert all(equal) == weights


# Folders and names


def test_a_saved_model_comes_back(model, saved):
    assert listing(saved) == FILES
    found = from_preset(saved)
    assert_same(found, model)
    np.testing.assert_array_equal(found(FRAMES), model(FRAMES))
    for other in (load_model(saved), keras.models.load_model(verify_preset(saved))):
        assert_same(other, model)
    assert_same(from_preset(saved, load_weights=False), model, weights=False)


def test_the_listing_is_size_and_sum_of_every_file(saved):
    listed = json.loads((saved / "checksums.json").read_text())
    found = sums(saved)
    del found["checksums.json"]
    assert listed == {"files": found}


@pytest.mark.parametrize("use", [verify_preset, from_preset, load_model])
@pytest.mark.parametrize("name", FILES[1:])
@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (Path.unlink, "is missing"),
        (cut, r"has \d+ bytes, not \d+"),
        (flip, r"is altered \(SHA-256 [0-9a-f]{64}\)"),
        (link, "is a link"),
    ],
)
def test_a_damaged_file_is_refused_and_named(preset, use, name, damage, what):
    damage(preset / name)
    rule = r"`preset` must hold every file as its checksums\.json lists it"
    with pytest.raises(ValueError, match=rf"^{rule}\. Received: {re.escape(str(preset / name))} {what}$"):
        use(preset)


@pytest.mark.parametrize("name", ["extra.py", "assets/extra.txt", "checkpoint.keras"])
def test_a_file_that_is_not_listed_is_refused(preset, name):
    (preset / name).parent.mkdir(exist_ok=True)
    (preset / name).write_text("x")
    for use in (from_preset, load_model):
        with pytest.raises(ValueError, match=f"Received: {re.escape(str(preset / name))} is not listed$"):
            use(preset)


@pytest.mark.parametrize("name", ["/etc/passwd", "../tiny/config.json", "a/b", "..", "extra.py"])
def test_a_listing_of_other_files_is_refused(preset, name):
    relist(preset, lambda files: files.update({name: files["config.json"]}))
    with pytest.raises(ValueError, match=rf"with a readable checksums\.json.*it lists .*{name}"):
        from_preset(preset)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"files": 3}', '{"files": {}}', "[" * 100_000, b"\xff\xfe",
     json.dumps({"files": {name: {"size": -1, "sha256": "0" * 64} for name in FILES[1:]}}),
     json.dumps({"files": {name: {"size": 1, "sha256": "0" * 63} for name in FILES[1:]}}),
     json.dumps({"files": {name: {"size": 1} for name in FILES[1:]}}),
     json.dumps({"files": FILES[1:]})],
)  # fmt: skip
def test_a_listing_that_cannot_be_read_is_refused(preset, text):
    (preset / "checksums.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    message = f"with a readable checksums.json. Received: {preset} ("
    with pytest.raises(ValueError, match=re.escape(message)):
        from_preset(preset)


def test_a_folder_of_something_else_is_refused(preset, tmp_path):
    (preset / "checksums.json").unlink()
    for path in (preset, preset / "config.json", tmp_path):
        with pytest.raises(ValueError, match=r"`preset` must be a folder that `save_to_preset` wrote"):
            from_preset(path)


def test_nothing_is_written_over(model, preset):
    before = listing(preset.parent)
    with pytest.raises(
        ValueError, match=f"`folder` must be new or empty. Received: folder='{re.escape(str(preset))}'"
    ):
        save_to_preset(model, preset)
    assert listing(preset.parent) == before


def test_a_full_disk_leaves_nothing(model, tmp_path):
    with no_file_larger_than(1000), pytest.raises(OSError):
        save_to_preset(model, tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_zoo")
def test_names(model):
    assert list_presets() == ["tiny"]
    assert list_presets(pretrained=False) == ["other", "tiny"]
    assert_same(from_preset("tiny"), model)
    assert_same(from_preset("tiny", load_weights=False), model, weights=False)
    untrained = from_preset("other", load_weights=False)
    np.testing.assert_array_equal(untrained(FRAMES).shape, model(FRAMES).shape)


@pytest.mark.usefixtures("small_zoo")
@pytest.mark.parametrize("name", ["other", "tinny", "missing/folder"])
def test_a_name_without_weights_is_answered_with_the_nearest(name):
    message = f"`name` must be a model of the zoo, such as tiny. Received: name='{name}'"
    with pytest.raises(ValueError, match=re.escape(message)):
        from_preset(name)


@pytest.mark.usefixtures("small_zoo")
def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="`recipe` must be a known recipe, such as other"):
        from_preset("othr", load_weights=False)


# Hosts

SHA = "0123456789abcdef" * 2 + "01234567"
KAGGLE_SERVICE = "/v1/models.ModelApiService/"


class Host(http.server.ThreadingHTTPServer):
    """Both hosts on this machine: answers to what their libraries ask of a preset `someone/tiny`, and counts it."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.downloads, self.gate = folder, [], threading.Event()
        self.gate.set()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self):
        self.gate.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    """The protocols of `huggingface_hub` and `kagglehub`, as far as they need them here."""

    def do_HEAD(self):
        self.send_file(self.path.rpartition("/")[2], "/someone/tiny/resolve/")

    def do_GET(self):
        listed = [
            {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": path.name}
            for path in self.server.folder.iterdir()
        ]
        if self.path.startswith("/api/models/someone/tiny/revision/"):
            self.send_json({"id": "someone/tiny", "sha": SHA, "siblings": []})
        elif self.path.startswith(
            "/api/models/someone/tiny/tree/"
        ):  # of SHA, or in old versions of what was asked for
            self.send_json(listed)
        else:
            self.send_file(self.path.rpartition("/")[2], f"/someone/tiny/resolve/{SHA}/")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["modelSlug"] != "tiny":
            self.send_error(404)
        elif self.path == f"{KAGGLE_SERVICE}GetModelInstance":
            self.send_json({"versionNumber": 3})
        elif self.path == f"{KAGGLE_SERVICE}ListModelInstanceVersionFiles":
            self.send_json({"files": [{"name": path.name} for path in self.server.folder.iterdir()]})
        else:
            self.send_file(asked.get("path"), f"{KAGGLE_SERVICE}DownloadModelInstanceVersion")

    def send_json(self, answer):
        self.send_body(json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def send_file(self, name, place):
        if not self.path.startswith(place):
            self.send_error(404)
            return
        if self.command != "HEAD":
            self.server.downloads.append(name)
            assert self.server.gate.wait(60)
        headers = {"ETag": f'"{name}"', "X-Repo-Commit": SHA, "Content-Type": "application/octet-stream"}
        self.send_body((self.server.folder / name).read_bytes(), headers)

    def send_error(self, code):
        self.send_response(code)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_body(self, body, headers):
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(params=["hf", "kaggle"])
def scheme(request):
    return request.param


@pytest.fixture
def host(preset, monkeypatch):
    """A host of the preset and of other files beside it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    kaggle = pytest.importorskip("kagglesdk.kaggle_env")
    (preset / "README.md").write_text("of the host")
    host = Host(preset)
    url = f"http://127.0.0.1:{host.server_port}"
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setitem(kaggle._env_to_endpoint, kaggle.KaggleEnv.PROD, url)
    yield host
    host.stop()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MSLSTM_KERAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(cache):
    return [path for path in listing(cache) if not path.endswith("/.lock")]


def test_a_preset_of_a_host_is_fetched_once(scheme, host, cache, saved, model):
    folder = fetch_preset(NAMES[scheme])
    assert folder == cache / PLACES[scheme]
    assert kept(cache) == [f"{PLACES[scheme]}/{name}" for name in FILES]
    for name in FILES:
        assert (folder / name).read_bytes() == (saved / name).read_bytes()
    host.stop()
    for found in (from_preset(NAMES[scheme]), load_model(NAMES[scheme])):
        assert_same(found, model)
    assert_same(from_preset(NAMES[scheme], load_weights=False), model, weights=False)
    assert host.downloads.count("model.weights.h5") == 1


def test_revisions_and_versions_lie_beside_one_another(host, tmp_path):
    for preset, place in (
        ("hf://someone/tiny@v1.0", "hf/someone/tiny/v1.0"),
        ("hf://someone/tiny@main", PLACES["hf"]),
        ("hf://someone/tiny", PLACES["hf"]),
        ("kaggle://someone/tiny/keras/small/2", "kaggle/someone/tiny/keras/small/2"),
    ):
        assert fetch_preset(preset, tmp_path / "mine") == tmp_path / "mine" / place
    assert host.downloads.count("model.weights.h5") == 3


@pytest.mark.parametrize(
    ("damage", "what"), [(flip, "is altered"), (cut, "has "), (Path.unlink, "is missing")]
)
@pytest.mark.usefixtures("host")
def test_what_is_damaged_on_the_host_is_refused(preset, cache, damage, what):
    damage(preset / "model.weights.h5")
    with pytest.raises(ValueError, match=rf"Received: {NAMES['hf']}/model\.weights\.h5 {what}"):
        fetch_preset(NAMES["hf"])
    assert kept(cache) == []


@pytest.mark.usefixtures("host")
def test_what_is_no_preset_on_the_host_is_refused(scheme, preset, cache):
    (preset / "checksums.json").unlink()
    with pytest.raises(ValueError, match=f"`save_to_preset` wrote, .* Received: {NAMES[scheme]} "):
        from_preset(NAMES[scheme])
    assert kept(cache) == []


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink, link])
def test_what_is_damaged_in_the_cache_is_fetched_anew(host, cache, saved, damage):
    folder = fetch_preset(NAMES["hf"])
    damage(folder / "config.json")
    assert fetch_preset(NAMES["hf"]) == folder
    assert (folder / "config.json").read_bytes() == (saved / "config.json").read_bytes()
    assert host.downloads.count("config.json") == 2
    assert listing(folder) == FILES


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("name", ["hf://someone/unknown", "kaggle://someone/unknown/keras/small"])
def test_an_unknown_repository_is_one_error_in_one_line(cache, name):
    with pytest.raises(OSError, match=f"^{name} cannot be fetched: .*404.*$") as caught:
        from_preset(name)
    assert type(caught.value) is OSError and "\n" not in str(caught.value)
    assert kept(cache) == []


def test_no_network_is_one_error_in_one_line(scheme, host, cache):
    host.stop()
    with pytest.raises(OSError, match=f"^{NAMES[scheme]} cannot be fetched: .+$") as caught:
        from_preset(NAMES[scheme])
    assert type(caught.value) is OSError and "\n" not in str(caught.value)
    assert kept(cache) == []


@pytest.mark.usefixtures("host")
def test_a_disk_that_is_full_leaves_nothing_fetched(scheme, cache):
    message = f"^{NAMES[scheme]} cannot be fetched: "
    # A progress bar that cannot be written keeps its lock for ever, and where errors go may be a file as well.
    with (
        contextlib.redirect_stderr(io.StringIO()),
        no_file_larger_than(2000),
        pytest.raises(OSError, match=message),
    ):
        fetch_preset(NAMES[scheme])
    assert kept(cache) == []


@pytest.mark.usefixtures("host")
def test_what_a_killed_process_left_is_removed(cache):
    left = (cache / PLACES["hf"]).with_name(".partial-00000000-main")
    left.mkdir(parents=True)
    fetch_preset(NAMES["hf"])
    assert not left.exists()


def test_two_at_once_download_once(host, cache, monkeypatch):
    """Both find the cache empty; the second gets to the lock while the first is held up by the host."""
    looked, is_whole = [], hub._is_whole

    def count(folder):
        looked.append(is_whole(folder))
        if len(looked) == 3:  # the first twice, without and with the lock, and the second
            host.gate.set()
        return looked[-1]

    monkeypatch.setattr(hub, "_is_whole", count)
    host.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(fetch_preset, [NAMES["hf"]] * 2))
    assert found == [cache / PLACES["hf"]] * 2
    assert looked == [False, False, False, True]
    assert host.downloads.count("model.weights.h5") == 1


def test_a_process_waits_for_the_lock_of_another(host, cache):
    lock = (cache / PLACES["hf"]).with_name(".lock")
    lock.parent.mkdir(parents=True)
    script = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n    print(flush=True)\n    input()"
    command = [sys.executable, "-c", script, str(lock)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.stdout.readline()
        fetching = pool.submit(fetch_preset, NAMES["hf"])
        with pytest.raises(TimeoutError):
            fetching.result(timeout=0.3)
        assert host.downloads == []
        other.communicate("\n")
        assert listing(fetching.result(timeout=60)) == FILES


@pytest.mark.parametrize(
    "preset",
    ["hf://", "hf://a", "hf://a/b/c", "hf://a/b@", "hf://a/b@refs/pr/1", "hf://../b", "hf://a/..", "hf://a/b@..",
     "hf:///etc", "hf://a/.lock", "hf://a/b\\c", "hf://a/b\n", "kaggle://a/b", "kaggle://a/b/c/..",
     "kaggle://a/b/c/d/latest", "kaggle://a/b/c/d/0", "kaggle://a/b/c/d/1/2", "s3://a/b", "a/b", "/etc"],
)  # fmt: skip
def test_a_handle_that_is_none_or_leaves_the_cache_is_refused(preset, cache):
    message = "`preset` must be hf://USER/REPOSITORY[@REVISION] or kaggle://"
    with pytest.raises(
        ValueError, match=f"{re.escape(message)}.* Received: preset={re.escape(repr(preset))}$"
    ):
        fetch_preset(preset)
    assert not cache.exists()


def test_a_library_that_is_missing_is_named(scheme, cache, monkeypatch):
    library = {"hf": "huggingface_hub", "kaggle": "kagglehub"}[scheme]
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"^{scheme}:// needs pip install 'mslstm_keras\[{scheme}\]'"):
        load_model(NAMES[scheme])
    assert not cache.exists()


def test_the_default_cache_lies_in_the_folder_of_keras(monkeypatch):
    monkeypatch.delenv("MSLSTM_KERAS_CACHE", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert hub._cache(None) == Path.home() / ".keras" / "mslstm_keras"
    monkeypatch.setenv("KERAS_HOME", "/keras")
    assert hub._cache(None) == Path("/keras/mslstm_keras")
    monkeypatch.setenv("MSLSTM_KERAS_CACHE", "/cache")
    assert hub._cache(None) == Path("/cache")
    assert hub._cache("/mine") == Path("/mine")
