"""Files of an entry that are damaged, missing, not listed or links are refused."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mslstm_keras.cli import main
from mslstm_keras.zoo.index import find_pretrained, list_pretrained, verify_pretrained
from mslstm_keras.zoo.loading import load_model, load_pretrained
from tests.support.folders import contents, cut, flip
from tests.support.zoos import NAME


@pytest.mark.parametrize("path", ["1/model.weights.h5", "1/saved_model.pb", "1/README.md"])
@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (Path.unlink, "is missing"),
        (cut, r"has \d+ bytes, not \d+"),
        (flip, r"is altered \(SHA-256 [0-9a-f]{64}\)"),
    ],
)
def test_a_damaged_file_is_refused_and_named(zoo, capsys, path, damage, what):
    assert verify_pretrained(NAME, zoo) == zoo / NAME / "1"
    file = zoo / NAME / path
    damage(file)
    message = rf"`zoo` must hold every file of an entry as the index lists it\. Received: {re.escape(str(file))} {what}"
    for use in (verify_pretrained, load_pretrained, lambda name, zoo: load_model(name, zoo)):
        with pytest.raises(ValueError, match=f"^{message}$"):
            use(NAME, zoo)
    for words in (["verify"], ["verify", NAME], ["show", NAME]):
        assert main(["zoo", *words, "--zoo", str(zoo)]) == 2
        out, error = capsys.readouterr()
        assert re.fullmatch(f"mslstm: {message}\n", error)
        assert out == ""


def altered(kind, contents, rng):
    """Returns contents of one or two files, in a different state."""
    path, other = rng.choice(sorted(contents), 2, replace=False)
    content = contents[path]
    if kind == "swap":
        return {path: contents[other], other: content}
    place = int(rng.integers(len(content)))
    if kind == "cut":
        return {path: content[:place]}
    changed = bytes([content[place] ^ 1 << int(rng.integers(8))])
    return {path: content[:place] + changed + content[place + 1 :]}


@pytest.mark.slow
def test_a_thousand_altered_zoos_are_refused(zoo):
    """A changed bit, a file cut off, two files in each other's place; where it is the index, it must still be right."""
    whole, files = contents(zoo), find_pretrained(NAME, zoo).files
    assert f"{NAME}/1/model.weights.h5" in whole and "index.json" in whole
    refused, rng = 0, np.random.default_rng(0)
    for kind in rng.choice(["flip", "cut", "swap"], 1000):
        changes = altered(kind, whole, rng)
        if all(whole[path] == content for path, content in changes.items()):
            continue  # the two files are the same
        for path, content in changes.items():
            (zoo / path).write_bytes(content)
        try:
            load_pretrained(NAME, zoo)
        except ValueError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert list(changes) == ["index.json"] and find_pretrained(NAME, zoo).files == files
        for path in changes:
            (zoo / path).write_bytes(whole[path])
    assert refused > 900
    load_pretrained(NAME, zoo)


def test_every_file_counts(zoo):
    for path, content in contents(zoo / NAME).items():
        file = zoo / NAME / path
        flip(file)
        with pytest.raises(ValueError, match=f"{re.escape(str(file))} is altered"):
            verify_pretrained(NAME, zoo)
        file.write_bytes(content)
    verify_pretrained(NAME, zoo)


@pytest.mark.parametrize("path", ["1/extra.py", "2/model.weights.h5", "note.txt"])
def test_a_file_that_is_not_listed_is_refused(zoo, path):
    file = zoo / NAME / path
    file.parent.mkdir(exist_ok=True)
    file.write_text("x")
    with pytest.raises(ValueError, match=f"Received: {re.escape(str(file))} is not listed$"):
        load_pretrained(NAME, zoo)


def test_a_whole_entry_that_is_missing_is_refused(zoo):
    shutil.rmtree(zoo / NAME)
    with pytest.raises(ValueError, match="is missing"):
        verify_pretrained(NAME, zoo)


@pytest.mark.parametrize("path", [".", "1", "1/config.json"])
def test_a_link_is_refused_even_if_what_it_leads_to_is_right(zoo, tmp_path, path):
    linked = zoo / NAME / path
    shutil.move(linked, tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"Received: {re.escape(str(linked))} is a link$"):
        load_pretrained(NAME, zoo)


def test_an_index_that_is_no_index_is_not_read_into_memory(zoo):
    with open(zoo / "index.json", "r+b") as file:
        file.truncate(2**40)  # of which the disk holds next to nothing
    with pytest.raises(ValueError, match="it has 1,099,511,627,776 bytes, more than 16,777,216"):
        list_pretrained(zoo)
