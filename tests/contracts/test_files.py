"""The contracts of the cells and models of one file."""

import re

import pytest

from mslstm_keras.contracts.cells import CELL_CONTRACTS
from mslstm_keras.contracts.files import check_file
from mslstm_keras.contracts.models import model_contracts
from tests.support.own_cells import MY_CELLS, write_my_cells

pytestmark = pytest.mark.usefixtures("own_registry", "many_models")
CELL, MODELS = MY_CELLS.split("@architecture\n")


def test_every_contract_of_a_file_is_looked_at(tmp_path):
    found = list(check_file(write_my_cells(tmp_path)))
    assert [each.error for each in found] == [None] * len(found)
    models = [
        (name, contract) for name in ("foo", "ms_foo") for contract in ("can be made", *model_contracts(name))
    ]
    assert [each[:2] for each in found] == [*(("FooCell", contract) for contract in CELL_CONTRACTS), *models]


def test_a_cell_without_a_model_is_said(tmp_path):
    with pytest.warns(UserWarning, match=r"^FooCell is in no model that could be made: "):
        found = list(check_file(write_my_cells(tmp_path, text=CELL)))
    assert {each.name for each in found} == {"FooCell"}


def test_of_a_model_that_cannot_be_made_no_more_is_said(tmp_path):
    text = CELL + "\n@architecture\ndef foo(filters, layers):\n    return [FooCell(filters)]\n"
    with pytest.warns(UserWarning, match=r"^FooCell is in no model"):
        found = list(check_file(write_my_cells(tmp_path, text=text)))
    failed = [(each.name, each.contract) for each in found if each.error]
    assert failed == [("foo", "can be made"), ("ms_foo", "can be made")] == [each[:2] for each in found[-2:]]
    assert str(found[-1].error).startswith("`scales` must hold one integer for each of `levels`. Received: ")


def test_a_file_that_registers_nothing_is_refused(tmp_path):
    path = write_my_cells(tmp_path, text="from mslstm_keras.cells import ConvLSTMCell\n")
    rule = r"^`file` must hold a SpatiotemporalCell or a function with @architecture\. Received: "
    with pytest.raises(ValueError, match=rf"{rule}file={re.escape(repr(str(path)))} with neither$"):
        list(check_file(path))


def test_other_backends_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(
        ValueError, match=r"^`check_file` must be asked on the TensorFlow backend\. Received: 'jax'$"
    ):
        list(check_file(write_my_cells(tmp_path)))
