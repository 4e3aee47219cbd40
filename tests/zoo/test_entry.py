"""What an entry may say."""

import json
import re

import pytest

from mslstm_keras.zoo.index import find_pretrained, verify_pretrained
from mslstm_keras.zoo.loading import load_pretrained
from tests.support.zoos import NAME, index_of


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("../other", "1/a", "`name` must be letters, digits, `_`, `-` and `.`. Received: name='../other'"),
        ("/tmp", "1/a", "`name` must be letters"),
        ("a/b", "1/a", "`name` must be letters"),
        ("a", "../../etc/passwd", "`files` must be paths below the folder of the entry. Received: '../../etc/passwd'"),
        ("a", "1/../../a", "`files` must be paths below"),
        ("a", "/etc/passwd", "`files` must be paths below"),
        ("a", "1\\..\\..\\a", "`files` must be paths below"),
        ("a", "1//a", "`files` must be paths below"),
        ("a", "./1/a", "`files` must be paths below"),
    ],
)  # fmt: skip
def test_an_index_cannot_leave_its_folder(zoo, name, path, message):
    entry = index_of(zoo)[NAME]
    entry["files"] = {path: {"size": 1, "sha256": "0" * 64}}
    (zoo / "index.json").write_text(json.dumps({"entries": {name: entry}}))
    for use in (find_pretrained, verify_pretrained, load_pretrained):
        with pytest.raises(ValueError, match=re.escape(message)):
            use(name, zoo)


@pytest.mark.parametrize(
    "expected",
    [{"size": -1, "sha256": "0" * 64}, {"size": 1.0, "sha256": "0" * 64}, {"size": 1, "sha256": "0" * 63}],
)
def test_an_index_tells_sizes_and_sums(zoo, expected):
    entry = index_of(zoo)[NAME]
    entry["files"] = {"1/a": expected}
    (zoo / "index.json").write_text(json.dumps({"entries": {NAME: entry}}))
    with pytest.raises(ValueError, match="`files` must have a size and a SHA-256"):
        load_pretrained(NAME, zoo)
