"""Tests of the files of objects: formats, checks, downloads, embedded digits."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from tfds_builders.moving_mnist_clips import objects
from tfds_builders.moving_mnist_clips.make_dummy_data import FOLDER as DUMMY_DATA
from tfds_builders.moving_mnist_clips.make_dummy_data import bars, idx
from tfds_builders.moving_mnist_clips.moving_digits import moving_digits
from tfds_builders.moving_mnist_clips.objects import find_files, load_objects, load_test_sequence

REAL_MNIST = Path(os.environ.get("MSLSTM_MNIST", Path(__file__).parents[3] / "shared" / "data" / "mnist"))
TRAIN_FILE = "train-images-idx3-ubyte"


class FakeDownloadManager:
    """Hands out one file and remembers what was asked for."""

    def __init__(self, path=None, error=None):
        self.path, self.error, self.urls = path, error, []

    def download(self, url):
        self.urls.append(url)
        if self.error:
            raise self.error
        return self.path


@pytest.fixture
def content(monkeypatch):
    """Content of a small idx file that passes as the MNIST train images."""
    content = idx(bars(3, 0))
    mnist = objects._IDX_SOURCES["mnist"]
    md5 = mnist.md5 | {"train": hashlib.md5(content).hexdigest()}
    monkeypatch.setitem(objects._IDX_SOURCES, "mnist", mnist._replace(md5=md5))
    return content


@pytest.mark.parametrize("folder", [".", "mnist"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_plain_and_gz_are_read_alike(tmp_path, content, folder, suffix):
    (tmp_path / folder).mkdir(exist_ok=True)
    stored = gzip.compress(content) if suffix else content
    (tmp_path / folder / f"{TRAIN_FILE}{suffix}").write_bytes(stored)
    images = load_objects("mnist", "train", manual_dir=tmp_path)
    np.testing.assert_array_equal(images, bars(3, 0))
    assert images.dtype == np.uint8


def test_fashion_has_its_own_folder(tmp_path, content):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / TRAIN_FILE).write_bytes(content)
    asked = FakeDownloadManager(error=OSError("no network"))
    with pytest.raises(ValueError, match="no network"):
        load_objects("fashion", "train", manual_dir=tmp_path, dl_manager=asked)
    assert len(asked.urls) == 1


def test_wrong_md5_is_refused(tmp_path, content):
    changed = bytearray(content)
    changed[500] ^= 1
    (tmp_path / TRAIN_FILE).write_bytes(changed)
    received = hashlib.md5(changed).hexdigest()
    expected = hashlib.md5(content).hexdigest()
    with pytest.raises(ValueError, match=f"uncompressed MD5 {expected}.*{TRAIN_FILE} with MD5 {received}"):
        load_objects("mnist", "train", manual_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (TRAIN_FILE, lambda content: content[:-1], r"as many bytes.*ubyte, sizes \(3, 28, 28\), 2351 bytes"),
        (TRAIN_FILE, lambda content: content + b"\x00", "as many bytes.*2353 bytes"),
        (TRAIN_FILE, lambda content: content[:10], "must hold a header.* 10 bytes"),
        (TRAIN_FILE, lambda content: b"", "must hold a header.* 0 bytes"),
        (TRAIN_FILE, lambda content: b"\x00\x00\x08\x01" + content[4:], "header 0x00000801"),
        (f"{TRAIN_FILE}.gz", lambda content: gzip.compress(content)[:-20], "must be a whole gzip file.*gz"),
        (f"{TRAIN_FILE}.gz", lambda content: gzip.compress(content)[:12], "must be a whole gzip file.*gz"),
        (
            f"{TRAIN_FILE}.gz",
            lambda content: gzip.compress(content)[:10] + b"\xff" * 99,
            "must be a whole gzip file.*gz",
        ),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, name, damage, message):
    (tmp_path / name).write_bytes(damage(content))
    with pytest.raises(ValueError, match=message):
        load_objects("mnist", "train", manual_dir=tmp_path)


def test_missing_files_are_downloaded_and_checked(tmp_path, content):
    path = tmp_path / "download"
    path.write_bytes(gzip.compress(content))
    manager = FakeDownloadManager(path)
    images = load_objects("mnist", "train", manual_dir=tmp_path, dl_manager=manager)
    np.testing.assert_array_equal(images, bars(3, 0))
    with pytest.raises(ValueError, match=f"The test images of mnist must have.*{path} with MD5"):
        load_objects("mnist", "test", dl_manager=manager)
    assert manager.urls[0].endswith("mnist/train-images-idx3-ubyte.gz")


def test_failed_download_is_one_clear_error(tmp_path):
    manager = FakeDownloadManager(error=OSError("no network"))
    with pytest.raises(ValueError, match=f"`manual_dir` must hold {TRAIN_FILE}.*{tmp_path}.*no network"):
        load_objects("mnist", "train", manual_dir=tmp_path, dl_manager=manager)


def test_manual_folder_must_exist(tmp_path):
    with pytest.raises(ValueError, match=f"`manual_dir` must be a folder. Received: .*{tmp_path}/absent"):
        load_objects("mnist", "train", manual_dir=tmp_path / "absent")


def test_every_download_has_a_checksum():
    manager = FakeDownloadManager(error=OSError("no network"))
    for source in ("mnist", "fashion"):
        for split in ("train", "test"):
            with pytest.raises(ValueError, match="no network"):
                load_objects(source, split, dl_manager=manager)
    with pytest.raises(ValueError, match="no network"):
        load_test_sequence(dl_manager=manager)
    lines = [line.split("\t") for line in objects.CHECKSUMS.read_text().splitlines()]
    assert sorted(manager.urls) == sorted(url for url, *_ in lines)
    for url, size, sha256, name in lines:
        assert int(size) > 0 and len(sha256) == 64 and url.endswith(f"/{name}")
    assert [sha for *_, sha, name in lines if name.endswith(".npy")] == [objects._TEST_SEQUENCE_SHA256]


def test_default_download_manager_knows_the_checksums(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    manager = objects._default_download_manager()
    assert Path(manager.download_dir) == tmp_path / "downloads"
    for line in objects.CHECKSUMS.read_text().splitlines():
        assert manager._url_infos[line.split("\t")[0]].checksum == line.split("\t")[2]


def test_test_sequence_is_checked(monkeypatch):
    with pytest.raises(ValueError, match=r"must have the SHA-256 c2a3e8d3.*mnist_test_seq\.npy with SHA-256"):
        load_test_sequence(manual_dir=DUMMY_DATA)
    digest = hashlib.sha256((DUMMY_DATA / "mnist_test_seq.npy").read_bytes()).hexdigest()
    monkeypatch.setattr(objects, "_TEST_SEQUENCE_SHA256", digest)
    sequence = load_test_sequence(manual_dir=DUMMY_DATA)
    assert sequence.shape == (20, 2, 64, 64) and sequence.dtype == np.uint8
    np.testing.assert_array_equal(
        sequence[:, 1], moving_digits(bars(2, 8), [1], motion="srivastava")[0, ..., 0]
    )


def test_optdigits_splits():
    train, test = load_objects("optdigits", "train"), load_objects("optdigits", "test")
    assert train.shape == (1437, 28, 28) and test.shape == (360, 28, 28)
    assert train.dtype == test.dtype == np.uint8
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}
    np.testing.assert_array_equal(train, load_objects("optdigits", "train"))
    assert train.max() == 255 and not train[:, :4].any() and not train[:, :, 24:].any()


@pytest.mark.parametrize(
    ("source", "split", "message"),
    [
        ("cifar", "train", r"`source` must be one of \['mnist', 'fashion', 'optdigits'\]. .*'cifar'"),
        ("mnist", "validation", r"`split` must be one of \['train', 'test'\]. Received: split='validation'"),
    ],
)
def test_unknown_source_or_split(source, split, message):
    with pytest.raises(ValueError, match=message):
        load_objects(source, split)


@pytest.mark.skipif(
    not REAL_MNIST.is_dir(),
    reason="real MNIST is not at hand (set MSLSTM_MNIST to the folder of its idx files)",
)
def test_real_mnist():
    assert load_objects("mnist", "train", manual_dir=REAL_MNIST).shape == (60000, 28, 28)
    digits = load_objects("mnist", "test", manual_dir=REAL_MNIST)
    assert digits.shape == (10000, 28, 28)
    clips = moving_digits(digits, range(300), seed=2).astype(np.float32) / 255
    last, future = clips[:, 9:10], clips[:, 10:]
    # Known floors of pixel-sum squared error per frame: repeating the last frame, and an empty frame.
    np.testing.assert_allclose(np.square(future - last).sum(axis=(2, 3, 4)).mean(), 286, rtol=0.02)
    np.testing.assert_allclose(np.square(future).sum(axis=(2, 3, 4)).mean(), 174, rtol=0.02)


def test_the_files_that_clips_are_made_of(tmp_path):
    downloaded = FakeDownloadManager(tmp_path / "downloaded")
    assert find_files("optdigits", False, manual_dir=DUMMY_DATA, dl_manager=downloaded) == {}
    folder = DUMMY_DATA / "mnist"
    expected = {
        "train-images-idx3-ubyte": folder / "train-images-idx3-ubyte.gz",
        "mnist_test_seq.npy": DUMMY_DATA / "mnist_test_seq.npy",
    }
    assert find_files("mnist", True, manual_dir=DUMMY_DATA, dl_manager=downloaded) == expected
    assert downloaded.urls == []
    found = find_files("fashion", False, dl_manager=downloaded)
    assert found == dict.fromkeys(("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"), downloaded.path)
    assert find_files("fashion", False, manual_dir=tmp_path) == {}
