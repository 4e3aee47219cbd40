"""What is assumed, and what is left out, as the pictures of a clip are read: each said once for the whole clip."""

import dataclasses
import warnings
from pathlib import Path

_FEW_BITS = 8


@dataclasses.dataclass
class Remarks:
    """Gathers what is to be said of the pictures of one clip, which may come in many files.

    Attributes:
        path: file or folder, for the warnings.
    """

    path: Path
    _notes: dict[str, int] = dataclasses.field(default_factory=dict, init=False)
    _depths: dict[str, str] = dataclasses.field(default_factory=dict, init=False)
    _pictures: int = dataclasses.field(default=0, init=False)
    _pixels: int = dataclasses.field(default=0, init=False)
    _see_through: int = dataclasses.field(default=0, init=False)
    _clear: int = dataclasses.field(default=0, init=False)

    def add(self, note: str) -> None:
        """Notes a sentence, such as "2 bands are left out"; the same one counts again."""
        self._notes[note] = self._notes.get(note, 0) + 1

    def opacity(self, pixels: int, clear: int) -> None:
        """Notes how many pixels a picture has, and how many of them are transparent, wholly or partly."""
        self._pictures += 1
        self._pixels += pixels
        self._clear += clear
        self._see_through += clear > 0

    def depth(self, bits: int | None, file: Path) -> None:
        """Notes how many bits the levels of a picture have; None where they are floats."""
        # Fewer bits are the same levels: programs that shrink pictures pack black and white into one bit.
        kind = "floats" if bits is None else _levels(max(bits, _FEW_BITS))
        self._depths.setdefault(kind, file.name)

    def has_depth(self, bits: int) -> bool:
        """Returns whether the levels of a picture have so many bits."""
        return _levels(bits) in self._depths

    def report(self) -> None:
        """Warns of what was noted."""
        texts = [note if count == 1 else f"{note} ({count} pictures)" for note, count in self._notes.items()]
        if self._clear:
            texts.append(
                f"{self._clear} of {self._pixels} pixels ({self._clear / self._pixels:.2%}) are transparent, wholly or "
                f"partly, in {self._see_through} of {self._pictures} pictures, and stand on black"
            )
        if len(self._depths) > 1:
            kinds = ", ".join(f"{kind} ({name})" for kind, name in self._depths.items())
            texts.append(f"its pictures are of several depths, {kinds}; each is read by its own")
        for text in texts:
            warnings.warn(f"`{self.path}`: {text}", stacklevel=4)


def _levels(bits: int) -> str:
    return f"levels of {bits} bits"
