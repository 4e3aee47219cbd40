"""What the benchmark of radar maps says of small ones."""

import json
import subprocess
import sys

import h5py
import pytest

from benchmarks import radar
from tests.support.radar_files import codes, digits, pgm, stamps, write_knmi, write_odim

TIMES = stamps("2010-08-26T00:00", 3)


def test_a_line_for_every_product(tmp_path, capsys):
    dutch, mixed = tmp_path / "dutch", tmp_path / "mixed"
    dutch.mkdir()
    mixed.mkdir()
    for number, time in enumerate(TIMES):
        write_knmi(dutch / f"{digits(time)}.h5", time, codes(number, (12, 10)))
        write_odim(mixed / f"a{digits(time)}.hdf", time, codes(number, (12, 10)), prodname=b"Rate")
    write_odim(mixed / f"b{digits(TIMES[0])}.hdf", TIMES[0], codes(3, (12, 10)), "ACRR", prodname=b"Sum")
    (mixed / "c.pgm").write_bytes(pgm(TIMES[0], codes(4, (12, 10))))
    table = tmp_path / "found.json"
    words = [str(dutch), str(mixed), "--repetitions", "2", "--maps", "2", "--json", str(table)]
    assert radar.main(words) == 0
    found = json.loads(table.read_text())["results"]
    assert [(one["service"], one["product"], one["minutes"]) for one in found] == [
        ("KNMI", "RAD_NL25_RAP_5min", 5.0),
        ("FMI", "CAPPI LOWEST FIN SUOMI1", None),
        ("EUMETNET OPERA", "Rate", 5.0),
        ("EUMETNET OPERA", "Sum", None),
    ]
    for one in found:
        assert one["unobserved"] == 0 and one["grid"] == "12x10"
        assert len(one["seconds"]["values"]) == 2
    assert "polar_stereographic" in capsys.readouterr().out
    pytest.importorskip("pysteps")
    assert all(one["pysteps"] < 1e-5 for one in found)


def test_maps_that_do_not_say_where_they_are(tmp_path):
    path = write_knmi(tmp_path / f"{digits(TIMES[0])}.h5", TIMES[0], codes(0, (12, 10)))
    with h5py.File(path, "a") as file:
        del file["geographic"]
    assert radar.main([str(tmp_path), "--repetitions", "2", "--json", str(tmp_path / "found.json")]) == 0
    [found] = json.loads((tmp_path / "found.json").read_text())["results"]
    assert (found["grid"], found["projection"]) == ("12x10", "-")


def test_wrong_words(tmp_path, capsys):
    assert radar.main([str(tmp_path)]) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("python -m benchmarks.radar: `path` must hold radar maps")
    )


def test_pysteps_is_imported_quietly():
    pytest.importorskip("pysteps")
    script = (
        "import warnings\nfrom benchmarks.radar import pysteps_importers\n"
        "before = list(warnings.filters)\n"
        "assert pysteps_importers().import_fmi_pgm and before == list(warnings.filters)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
