"""Images of the objects that move in the clips: MNIST digits, Fashion-MNIST articles, embedded digits."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mslstm_keras.importing import needed

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

CHECKSUMS = Path(__file__).with_name("checksums.tsv")


class _IdxSource(NamedTuple):
    folder: str
    mirror: str
    md5: dict[str, str]  # of the uncompressed files: gzip headers differ between distributions


_IDX_FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
_IDX_SOURCES = {
    "mnist": _IdxSource(
        folder="mnist",
        mirror="https://storage.googleapis.com/cvdf-datasets/mnist/",
        md5={"train": "6bbc9ace898e44ae57da46a324031adb", "test": "2646ac647ad5339dbf082846283269ea"},
    ),
    "fashion": _IdxSource(
        folder="fashion-mnist",
        mirror="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        md5={"train": "f4a8712d7a061bf5bd6d2ca38dc4d50a", "test": "8181f5470baa50b63fa0f6fddb340f0a"},
    ),
}
SOURCES = (*_IDX_SOURCES, "optdigits")

_TEST_SEQUENCE = "mnist_test_seq.npy"
_TEST_SEQUENCE_MIRROR = "http://www.cs.toronto.edu/~nitish/unsupervised_video/"
_TEST_SEQUENCE_SHA256 = "c2a3e8d3939c001ab77bf543f130157424efa486bb4d0974d2cebb773b13f8b3"

# Neighbouring images come from the same writer, so a split in the given order keeps writers apart.
_OPTDIGITS_TRAIN = 1437


def _uncompressed(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"An idx.gz file must be a whole gzip file. Received: {path} ({error})") from error


def _parse_idx_images(content: bytes, path: Path) -> np.ndarray:
    rule = "An idx image file must hold a header 0x00000803, three sizes and as many bytes as they promise."
    if len(content) < 16 or content[:4] != b"\x00\x00\x08\x03":
        raise ValueError(f"{rule} Received: {path}, {len(content)} bytes, header 0x{content[:4].hex()}")
    shape = tuple(np.frombuffer(content, ">u4", count=3, offset=4).tolist())
    if len(content) - 16 != shape[0] * shape[1] * shape[2]:
        raise ValueError(f"{rule} Received: {path}, sizes {shape}, {len(content) - 16} bytes of images")
    return np.frombuffer(content, np.uint8, offset=16).reshape(shape)


def _default_download_manager() -> "tfds.download.DownloadManager":
    import tensorflow_datasets as tfds

    from mslstm_keras.compat import DATA_DIR, load_url_infos

    return tfds.download.DownloadManager(
        download_dir=os.path.join(DATA_DIR, "downloads"),
        url_infos=load_url_infos(CHECKSUMS),
        dataset_name="moving_mnist_clips",
        force_checksums_validation=True,
    )


def _at_hand(name: str, folder: str, manual_dir: str | os.PathLike | None) -> Path | None:
    """Path of a file in the manual directory, with or without `.gz`, if it is there."""
    if manual_dir is not None:
        manual_dir = Path(manual_dir).expanduser()
        if not manual_dir.is_dir():
            raise ValueError(f"`manual_dir` must be a folder. Received: manual_dir={str(manual_dir)!r}")
        for place in (manual_dir / folder, manual_dir):
            for candidate in (place / name, place / f"{name}.gz"):
                if candidate.is_file():
                    return candidate
    return None


def _find(
    name: str,
    folder: str,
    url: str,
    manual_dir: str | os.PathLike | None,
    dl_manager: "tfds.download.DownloadManager | None",
) -> Path:
    """Path of a file in the manual directory, with or without `.gz`, else of its download."""
    at_hand = _at_hand(name, folder, manual_dir)
    if at_hand:
        return at_hand
    try:
        return Path((dl_manager or _default_download_manager()).download(url))
    except Exception as error:
        raise ValueError(
            f"`manual_dir` must hold {name}, plain or as .gz, where {url} cannot be downloaded. "
            f"Received: manual_dir={manual_dir}, download error: {error}"
        ) from error


def _load_idx(source: str, split: str, manual_dir, dl_manager) -> np.ndarray:
    folder, mirror, md5 = _IDX_SOURCES[source]
    name = _IDX_FILES[split]
    path = _find(name, folder, f"{mirror}{name}.gz", manual_dir, dl_manager)
    content = _uncompressed(path)
    images = _parse_idx_images(content, path)
    received = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if received != md5[split]:
        raise ValueError(
            f"The {split} images of {folder} must have the uncompressed MD5 {md5[split]}. "
            f"Received: {path} with MD5 {received}"
        )
    return images


def _load_optdigits(split: str) -> np.ndarray:
    from PIL import Image

    with needed("scikit-learn's digits", "digits"):
        from sklearn.datasets import load_digits

    digits = (load_digits().images * (255 / 16)).round().astype(np.uint8)
    digits = digits[:_OPTDIGITS_TRAIN] if split == "train" else digits[_OPTDIGITS_TRAIN:]
    # MNIST digits fill 20 of 28 pixels. The same box gives strokes of the same width and clips with as many
    # bright pixels, so that a model trained on one kind can forecast the other.
    images = np.zeros((len(digits), 28, 28), np.uint8)
    for image, digit in zip(images, digits, strict=True):
        image[4:24, 4:24] = Image.fromarray(digit).resize((20, 20), Image.Resampling.BICUBIC)
    return images


def load_objects(
    source: str,
    split: str,
    *,
    manual_dir: str | os.PathLike | None = None,
    dl_manager: "tfds.download.DownloadManager | None" = None,
) -> np.ndarray:
    """Images of the objects of one split.

    Args:
        source: `"mnist"` (60,000 train and 10,000 test images), `"fashion"` (Fashion-MNIST, as many) or
            `"optdigits"` (1,437 and 360 handwritten digits, 8 x 8, that come with scikit-learn, enlarged; no
            download).
        split: `"train"` or `"test"`.
        manual_dir: folder with `train-images-idx3-ubyte` and `t10k-images-idx3-ubyte`, plain or as `.gz`, in
            itself or in its subfolder `mnist/` or `fashion-mnist/`. Files are checked by the MD5 of the
            uncompressed bytes. Files that are not there are downloaded.
        dl_manager: TFDS download manager. Default: one that keeps files in the TFDS data folder.

    Returns:
        uint8 (count, 28, 28).

    Raises:
        ValueError: if source or split is unknown, if `manual_dir` is no folder, or if a file is damaged, has
            another MD5 or cannot be downloaded.

    Reference: LeCun, Cortes & Burges, "MNIST handwritten digit database"; Xiao, Rasul & Vollgraf,
    "Fashion-MNIST", arXiv:1708.07747; Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI.
    """
    if source not in SOURCES:
        raise ValueError(f"`source` must be one of {list(SOURCES)}. Received: source={source!r}")
    if split not in _IDX_FILES:
        raise ValueError(f"`split` must be one of {list(_IDX_FILES)}. Received: split={split!r}")
    if source == "optdigits":
        return _load_optdigits(split)
    return _load_idx(source, split, manual_dir, dl_manager)


def find_files(
    source: str,
    public_test: bool,
    *,
    manual_dir: str | os.PathLike | None = None,
    dl_manager: "tfds.download.DownloadManager | None" = None,
) -> dict[str, Path]:
    """Files that clips are made of, unchecked: `load_objects` and `load_test_sequence` check them.

    Args:
        source: source of the objects, see `load_objects`.
        public_test: bool. Whether the test clips are the public ones.
        manual_dir: folder to look in first.
        dl_manager: TFDS download manager. None: what is not there is left out.

    Returns:
        Name without `.gz` -> file.

    Raises:
        ValueError: if a file can neither be found nor downloaded.
    """
    wanted = []
    if source in _IDX_SOURCES:
        folder, mirror, _ = _IDX_SOURCES[source]
        splits = ("train",) if public_test else ("train", "test")
        names = [_IDX_FILES[split] for split in splits]
        wanted = [(name, folder, f"{mirror}{name}.gz") for name in names]
    if public_test:
        wanted.append((_TEST_SEQUENCE, "mnist", _TEST_SEQUENCE_MIRROR + _TEST_SEQUENCE))
    files = {}
    for name, folder, url in wanted:
        at_hand = _at_hand(name, folder, manual_dir)
        if at_hand or dl_manager:
            files[name] = at_hand or _find(name, folder, url, None, dl_manager)
    return files


def load_test_sequence(
    *,
    manual_dir: str | os.PathLike | None = None,
    dl_manager: "tfds.download.DownloadManager | None" = None,
) -> np.ndarray:
    """The public Moving MNIST test clips, `mnist_test_seq.npy`, 819 MB, left on disk.

    Args:
        manual_dir: folder with `mnist_test_seq.npy`, in itself or in its subfolder `mnist/`. The file is
            checked by its SHA-256. If it is not there, it is downloaded.
        dl_manager: TFDS download manager. Default: one that keeps files in the TFDS data folder.

    Returns:
        read-only memory map, uint8 (20, 10000, 64, 64): time first.

    Raises:
        ValueError: if `manual_dir` is no folder, or if the file has another SHA-256 or cannot be downloaded.

    Reference: Srivastava, Mansimov & Salakhutdinov, ICML 2015, arXiv:1502.04681.
    """
    path = _find(_TEST_SEQUENCE, "mnist", _TEST_SEQUENCE_MIRROR + _TEST_SEQUENCE, manual_dir, dl_manager)
    with path.open("rb") as file:
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received != _TEST_SEQUENCE_SHA256:
        raise ValueError(
            f"{_TEST_SEQUENCE} must have the SHA-256 {_TEST_SEQUENCE_SHA256}. "
            f"Received: {path} with SHA-256 {received}"
        )
    return np.lib.format.open_memmap(path, mode="r")
