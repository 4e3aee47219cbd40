"""Numbers that an array's attributes say are packed, or missing: the CF conventions, sections 2.5.1 and 8.1."""

from collections.abc import Mapping
from typing import Any

import numpy as np

PACKED = ("scale_factor", "add_offset")
MISSING = ("_FillValue", "missing_value", "valid_range", "valid_min", "valid_max")


def units_of(attributes: Mapping[str, Any]) -> str | None:
    """Returns the attribute `units`; None where there is none, or a plain number ("1")."""
    units = attributes.get("units")
    units = units.decode(errors="replace") if isinstance(units, bytes) else units
    return units if isinstance(units, str) and units.strip() not in ("", "1") else None


def are_values(attributes: Mapping[str, Any]) -> bool:
    """Returns whether whole numbers with these attributes are values, and no levels of 0 .. 255."""
    return any(name in attributes for name in PACKED) or units_of(attributes) is not None


def stored_dtype(dtype: np.dtype, attributes: Mapping[str, Any]) -> np.dtype:
    """Returns the dtype that is meant: NetCDF's classic form has no unsigned numbers and says so by `_Unsigned`."""
    meant = attributes.get("_Unsigned")
    meant = meant.decode(errors="replace") if isinstance(meant, bytes) else str(meant)
    kind = {"true": "u", "false": "i"}.get(meant.lower())
    return np.dtype(f"{dtype.byteorder}{kind}{dtype.itemsize}") if kind and dtype.kind in "iu" else dtype


def unpack(
    stored: np.ndarray, attributes: Mapping[str, Any]
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Returns the values that stored numbers stand for, and between which two they are valid.

        value = stored * scale_factor + add_offset

    What is `_FillValue` or one of `missing_value`, or lies outside of `valid_range`, `valid_min` and `valid_max`,
    is missing. These are numbers as they are stored; a valid range of floats for packed whole numbers is one of
    values. uint8 that is no value (see `are_values`) is a level: value = stored / 255.

    Args:
        stored: numbers of any shape.
        attributes: name -> value, as the file has them; others than those above are passed over.

    Returns:
        float32, NaN where missing; and (lowest, highest) in units of the values, or None.

    Raises:
        ValueError: if one of the attributes is not as many numbers as it has to be, or the scale is 0.
    """
    stored = stored.view(stored_dtype(stored.dtype, attributes))
    scale, offset = _number(attributes, "scale_factor", 1.0), _number(attributes, "add_offset", 0.0)
    if not scale or not np.isfinite([scale, offset]).all():
        raise ValueError(
            "`scale_factor` and `add_offset` must be finite, and the scale not 0. "
            f"Received: scale_factor={scale}, add_offset={offset}"
        )
    missing = np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, bool)
    for mark in (*_numbers(attributes, "_FillValue", stored), *_numbers(attributes, "missing_value", stored)):
        missing |= stored == mark
    low, high, of_values = _valid_range(attributes, stored)
    # Whole numbers of 16 bits are exact in float32, longer ones and float64 are not.
    values = stored.astype(np.result_type(stored.dtype, np.float32).newbyteorder("="))
    if stored.dtype == np.uint8 and not are_values(attributes):
        scale = 1 / 255
        values /= np.float32(255)
    elif (scale, offset) != (1, 0):
        values = values * scale + offset
    judged = values if of_values else stored
    missing |= (judged < low) | (judged > high)
    values = values.astype("float32", copy=False)
    values[missing] = np.nan
    ends = [end if of_values else end * scale + offset for end in (low, high)]
    return values, (min(ends), max(ends)) if np.isfinite(ends).any() else None


def _numbers(attributes, name, stored=None):
    """Returns the numbers of an attribute, in the dtype of what is stored where that is said."""
    numbers = np.ravel(attributes.get(name, ()))
    if numbers.dtype.kind not in "iuf":
        raise ValueError(f"`{name}` must be a number. Received: {name}={attributes[name]!r}")
    if stored is None:
        return numbers
    if numbers.dtype.kind in "iu" and stored.dtype.kind == "u":
        numbers = numbers.view(stored_dtype(numbers.dtype, attributes))
    return numbers.astype(stored.dtype) if stored.dtype.kind == "f" else numbers


def _number(attributes, name, default):
    numbers = _numbers(attributes, name)
    if len(numbers) > 1:
        raise ValueError(f"`{name}` must be one number. Received: {name}={attributes[name]!r}")
    return numbers[0].item() if len(numbers) else default


def _valid_range(attributes, stored):
    """Returns the lowest and the highest number that is valid, and whether they are values and not stored numbers."""
    low = _numbers(attributes, "valid_min", stored)[:1]
    high = _numbers(attributes, "valid_max", stored)[:1]
    if "valid_range" in attributes:
        both = _numbers(attributes, "valid_range", stored)
        if len(both) != 2:
            raise ValueError(f"`valid_range` must be two numbers. Received: {attributes['valid_range']!r}")
        low, high = both[:1], both[1:]
    packed = stored.dtype.kind in "iu" and any(name in attributes for name in PACKED)
    of_values = packed and any(len(end) and end.dtype.kind == "f" for end in (low, high))
    return (
        low[0].item() if len(low) else -np.inf,
        high[0].item() if len(high) else np.inf,
        of_values,
    )
