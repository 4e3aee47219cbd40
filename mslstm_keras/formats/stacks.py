"""What a TIFF says of its own pages: how many there are, and whether they are moments, channels or slices.

The description is a text of whoever wrote the file (ImageJ, OME, tifffile). It is believed where it speaks against
reading all pages as frames in time; one that cannot be understood is passed over.
"""

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mslstm_keras.formats.remarks import Remarks

_DESCRIPTION, _SAMPLES, _LAYOUT, _DEPTH = 270, 277, 284, 32997  # tags of TIFF
_SEPARATE = 2  # the layout of a page that has its bands one behind the other

_TIME = "frames"
_NAMES = {"T": _TIME, "I": _TIME, "Q": _TIME, "C": "channels", "S": "channels", "Z": "slices"}
"""Of tifffile's axes; I and Q are a sequence of any kind."""


@dataclasses.dataclass(frozen=True)
class Stack:
    """What a description says of the pages from `first` on.

    Attributes:
        first: int. The page that has the description.
        writer: str. Who writes so.
        axes: how many channels, slices, frames there are, where more than one; an axis may have no name, "".
        pages: int. Pages in this file; None where it is not said.
    """

    first: int
    writer: str
    axes: tuple[tuple[str, int], ...]
    pages: int | None


def stacks_of(image: Any) -> list[Stack]:
    """Returns what the descriptions of a TIFF say, in the order of its pages; other kinds have none.

    Raises:
        ValueError: if a page has several slices in itself.
    """
    if image.format != "TIFF":
        return []
    found = []
    for page in range(image.n_frames):
        image.seek(page)
        if image.tag_v2.get(_DEPTH, 1) != 1:
            raise ValueError("pages that are volumes, of several slices each")
        text = image.tag_v2.get(_DESCRIPTION)
        if not isinstance(text, str):
            continue
        stack = _of_tifffile(text, page, image)
        if stack is None and page == 0:  # others describe the whole file in its first page
            stack = _of_imagej(text) or _of_ome(text, image)
        if stack is not None:
            found.append(stack)
    return found


def check_stacks(path: Path, stacks: Sequence[Stack], frames: Sequence[int], remarks: Remarks) -> None:
    """Makes sure that the pages that are read as frames are moments, and all that there are.

    Args:
        path: file, for errors.
        stacks: what the file says.
        frames: the numbers of the pages that are read.
        remarks: gets what is assumed.

    Raises:
        ValueError: if the file says that it has more pictures than pages, or that they differ in more than time.
    """
    firsts = [*(stack.first for stack in stacks), math.inf]
    for stack, (_, end) in zip(stacks, itertools.pairwise(firsts), strict=True):
        count = sum(stack.first <= frame < end for frame in frames)
        said = f"as its description ({stack.writer}) says"
        axes = " x ".join(f"{size} {name or 'pictures'}" for name, size in stack.axes)
        if stack.pages is not None and count < stack.pages:
            raise ValueError(
                f"`{path}` must have a page for every picture. Received: pages: {count}, pictures: {stack.pages}, "
                f"{said}; the others are cut off, or lie there without pages of their own: read it by the program that "
                "wrote it, and save it with a page for each"
            )
        if count < 2:
            continue
        if len(stack.axes) > 1:
            raise ValueError(
                f"`{path}` must hold one picture for each time. Received: {axes}, {said}; save one channel or slice "
                "as a file of its own"
            )
        if any(name not in (_TIME, "") for name, _ in stack.axes):
            remarks.add(f"its {axes}, {said}, are read as frames in time")
        if stack.pages is not None and count > stack.pages:
            remarks.add(f"all of its {count} pages are read, though it has {stack.pages}, {said}")


def _stack(first: int, writer: str, axes: dict[str, int], pages: int | None) -> Stack:
    return Stack(first, writer, tuple((name, size) for name, size in axes.items() if size > 1), pages)


def _of_imagej(text: str) -> Stack | None:
    if not text.startswith("ImageJ="):
        return None
    found = {
        name: int(size)
        for name, size in re.findall(r"^(images|channels|slices|frames)=(\d{1,9})\s*$", text, re.M)
    }
    pages = found.pop("images", None)
    return _stack(0, "ImageJ", found, pages)


def _of_ome(text: str, image: Any) -> Stack | None:
    """Reads the few numbers that count; the text is not parsed, as XML may be made to fill the memory."""
    if "<OME" not in text and ":OME" not in text:
        return None
    images = []
    for tag in re.findall(r"<(?:\w+:)?Pixels\s[^>]*>", text):
        sizes = {axis: int(size) for axis, size in re.findall(r'\bSize([CZT])\s*=\s*"(\d{1,9})"', tag)}
        if len(sizes) < 3:
            return None
        samples = image.tag_v2.get(_SAMPLES, 1)
        channels = sizes["C"] // samples if sizes["C"] % samples == 0 else sizes["C"]
        images.append({"channels": channels, "slices": sizes["Z"], _TIME: sizes["T"]})
    if not images:
        return None
    axes = {"images": len(images)} | {name: max(each[name] for each in images) for name in images[0]}
    files = set(re.findall(r"<(?:\w+:)?UUID\b[^>]*>\s*([^<\s]+)", text))  # of which this is one
    pages = None if len(files) > 1 else sum(math.prod(each.values()) for each in images)
    return _stack(0, "OME-XML", axes, pages)


def _of_tifffile(text: str, page: int, image: Any) -> Stack | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    shape, names = found.get("shape"), found.get("axes")
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        return None
    if not isinstance(names, str) or len(names) != len(shape):
        names = " " * len(shape)
    axes = [(name, size) for name, size in zip(names, shape, strict=True) if size > 1]
    bands = [image.tag_v2.get(_SAMPLES, 1)]
    pixels = [image.height, image.width]
    of_page = bands + pixels if image.tag_v2.get(_LAYOUT) == _SEPARATE else pixels + bands
    of_page = [size for size in of_page if size > 1]
    before = axes[: max(len(axes) - len(of_page), 0)]
    if [size for _, size in axes[len(before) :]] != of_page:
        return None  # of another picture
    pages = math.prod(size for _, size in before)
    named = tuple((_NAMES.get(name, "" if name == " " else name), size) for name, size in before)
    return Stack(page, "tifffile", named, pages)
