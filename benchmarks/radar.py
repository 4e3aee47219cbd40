"""Radar maps: what `read_radar` says of them, how long it takes, and how far it is from pysteps' importers."""

import argparse
import contextlib
import importlib
import io
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command
from benchmarks.measure import Sample, progress
from benchmarks.report import Report, draw_bars, number

NOTES = (
    "highest, unobserved and ms: of the maps that were read, the last --maps of each product; ms: of a map that "
    "is read alone, in one thread, from file to rain rate.",
    "pysteps: greatest difference in mm/h from pysteps' importer, of the last map, by the same relation and where both "
    "have a value; -: it has no importer for the product, or lacks a package.",
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this benchmark."""
    parser = command.make_parser(
        "radar",
        "What read_radar reads of folders of radar maps, and how fast.",
        "maps/knmi --maps 2 --json radar.json --figure radar.png",
        repetitions=3,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="folders, files or globs, each a line for every product"
    )
    parser.add_argument(
        "--maps", type=command.positive, default=3, help="maps read of each product (default: %(default)s)"
    )
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measures what the options ask for."""
    report = Report("radar", notes=list(NOTES))
    rows, samples = [], {}
    for path in options.paths:
        progress(path)
        for name, product in _products(path):
            found, sample = _measure(path, product, options)
            report.results.append({"path": path, **found, "seconds": sample.to_dict()})
            samples[name] = Sample(tuple(1000 * value for value in sample.values))
            rows.append(
                {
                    "path": name,
                    "product": f"{found['service']}: {found['product']}"[:48],
                    "minutes": "" if found["minutes"] is None else f"{found['minutes']:g}",
                    "grid": found["grid"],
                    "projection": found["projection"],
                    "unobserved": f"{found['unobserved']:.1%}",
                    "highest mm/h": number(found["highest"]),
                    "ms": number(samples[name].median),
                    "pysteps mm/h": "-" if found["pysteps"] is None else f"{found['pysteps']:.1e}",
                }
            )
    report.tables["radar maps"] = rows
    report.drawings.append(partial(draw_bars, samples=samples, title="reading one map", unit="ms"))
    return report


def _products(path: str) -> list[tuple[str, str | None]]:
    """Returns a label and the product of each line of a path."""
    from mslstm_keras.radar.read import find_maps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which files are no maps
        products = sorted({found.said.product for found in find_maps(path)})
    folder = Path(path).name
    if len(products) == 1:
        return [(folder[:32], None)]
    return [(f"{folder[:32]} {number}", product) for number, product in enumerate(products, 1)]


def _measure(path: str, product: str | None, options: argparse.Namespace) -> tuple[dict[str, Any], Sample]:
    import dask

    import mslstm_keras as ms

    with warnings.catch_warnings(), dask.config.set(scheduler="synchronous"):
        warnings.simplefilter("ignore")  # gaps between what is given away, and hail
        data = ms.read_radar(path, product=product)
        rain = data.rain_rate[-options.maps :]
        values = rain.values
        spent = []
        for _ in range(options.repetitions):
            start = time.perf_counter()
            rain[-1].values  # noqa: B018
            spent.append(time.perf_counter() - start)
        theirs = _pysteps(path, product)
    height, width = rain.shape[1:]
    found = {
        "service": data.attrs["service"],
        "product": data.attrs["product"],
        "minutes": data.attrs.get("interval_minutes"),
        "grid": f"{height}x{width}",
        "projection": _projection(data),
        "unobserved": float(np.isnan(values).mean()),
        "highest": float(np.nanmax(values)),
        "pysteps": None if theirs is None else float(np.nanmax(np.abs(theirs - values[-1]))),
    }
    return found, Sample(tuple(spent))


def _projection(data: Any) -> str:
    if "spatial_ref" not in data:
        return "-"
    mapping = data.spatial_ref.attrs
    # CF has no name for the Swiss one.
    return mapping.get("grid_mapping_name") or mapping["crs_wkt"].partition('"')[2].partition('"')[0]


def _pysteps(path: str, product: str | None) -> np.ndarray | None:
    """Returns the rain rate of the last map as pysteps imports it, None where it cannot."""
    from mslstm_keras.radar.read import find_maps

    maps = [found for found in find_maps(path) if product in (None, found.said.product)]
    last = max(maps, key=lambda found: found.time)
    said = last.said
    with last.source.unpacked() as file:
        try:
            values = _import(said, str(file))
        except Exception:  # whatever stops it, it cannot
            return None
    return said.rain_rate(values)[0]


def _import(said: Any, file: str) -> np.ndarray:
    """Returns what pysteps imports of a file, its northern row first."""
    importers = pysteps_importers()
    quantity = {"rain rate": "RATE", "rain depth": "ACRR", "reflectivity": "DBZH"}[said.quantity]
    match said.service:
        case "KNMI":
            return importers.import_knmi_hdf5(file, qty=quantity)[0]
        case "DWD":
            return importers.import_dwd_radolan(file, said.product.split()[1])[0][::-1]
        case "EUMETNET OPERA":
            return importers.import_odim_hdf5(file, qty=quantity)[0]
        case "FMI" if file.endswith("pgm"):
            return importers.import_fmi_pgm(file)[0]
        case "FMI":
            return importers.import_fmi_geotiff(file)[0]
        case "MeteoSwiss":
            return importers.import_mch_gif(file, said.product, "mm", said.minutes)[0]
        case "NOAA":
            return importers.import_mrms_grib(file, window_size=1)[0]
        case _:
            return importers.import_bom_rf3(file)[0]


def pysteps_importers() -> Any:
    """Returns `pysteps.io.importers`, without what pysteps prints and changes when it is imported.

    Raises:
        ImportError: if pysteps is not installed.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return importlib.import_module("pysteps.io.importers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see `benchmarks.command.run`."""
    return command.run(make_parser(), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
