"""What `SpatiotemporalCell` promises of every cell. Cells are made of a number of filters, and of defaults."""

import inspect
from collections.abc import Callable

import keras
import numpy as np

from mslstm_keras.cells.base import SpatiotemporalCell
from mslstm_keras.contracts.rules import require, require_close

CellClass = type[SpatiotemporalCell]

FILTERS = 4
MAP_SHAPE = (8, 12, FILTERS)
BATCH = 2


def check_registration(cell_class: CellClass) -> None:
    """A file that holds the cell can be read."""
    name = keras.saving.get_registered_name(cell_class)
    require(
        ">" in name and keras.saving.get_registered_object(name) is cell_class,
        "the class must be registered with Keras, by @keras.saving.register_keras_serializable(package=...). "
        f"Received: the registered name {name!r}",
    )


def check_configuration(cell: SpatiotemporalCell) -> None:
    """A cell is made again of its configuration, which holds every argument of its constructor."""
    config = cell.get_config()
    # Not of the class: some versions of Python then look at Keras' `__new__`, which takes anything.
    _, *parameters = inspect.signature(type(cell).__init__).parameters.values()
    named = {each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}
    missing = ", ".join(sorted(named - set(config)))
    require(
        not missing, f"`get_config` must return every argument of the constructor. Received: no {missing}"
    )
    copies = (
        type(cell).from_config(config),
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell)),
    )
    for copy in copies:
        require(
            type(copy) is type(cell) and copy.get_config() == config,
            "a copy by the configuration must have the same configuration. Received: "
            f"{type(copy).__name__} of {copy.get_config()}, not {type(cell).__name__} of {config}",
        )


def check_initial_states(cell_class: CellClass) -> None:
    """Before the first frame every state is zero, and has the shape that the cell declares."""
    cell = cell_class(FILTERS)
    shapes = cell.state_shapes((BATCH, *MAP_SHAPE))
    require(
        len(shapes) == len(cell.state_names),
        "`state_names` and `state_shapes` must be of the same states. Received: "
        f"{len(cell.state_names)} names and {len(shapes)} shapes",
    )
    cell.build((None, *MAP_SHAPE))
    states = cell.get_initial_state(batch_size=BATCH)
    require(
        len(states) == len(shapes),
        f"`get_initial_state` must return {len(shapes)} states, one for each name. Received: {len(states)}",
    )
    for name, state, shape in zip(cell.state_names, states, shapes, strict=True):
        require_close(
            state, np.zeros(shape), 0, f"state {name!r} must begin as zeros of the shape of `state_shapes`"
        )


def check_weights_are_made_in_build(cell_class: CellClass) -> None:
    """No weight is made later, within a loop; every part is used."""
    cell = _built(cell_class)
    before = [weight.path for weight in cell.weights]
    require(before, "a cell must have weights. Received: none")
    unused = [layer.name for layer in cell._flatten_layers() if not layer.built]
    require(
        not unused,
        f"`call` must use every layer that the constructor makes. Received: {', '.join(unused)}, never used",
    )
    _call(cell)
    more = [weight.path for weight in cell.weights if weight.path not in before]
    require(
        [weight.path for weight in cell.weights] == before,
        f"all weights must be made when the cell is built. Received: {', '.join(more)}, made by the first call",
    )


def check_shapes(cell_class: CellClass) -> None:
    """Output and new states have the shapes that the cell declares, on a map that is no square."""
    cell = cell_class(FILTERS)
    shapes = cell.state_shapes((BATCH, *MAP_SHAPE))
    declared = [(BATCH, *MAP_SHAPE[:-1], FILTERS), *shapes]
    said = cell.compute_output_shape((BATCH, *MAP_SHAPE))
    require(
        [said[0], *said[1]] == declared,
        f"`compute_output_shape` must return the shapes of output and states, {declared}. Received: {said}",
    )
    symbolic, symbolic_states = cell(keras.Input(MAP_SHAPE), [keras.Input(shape[1:]) for shape in shapes])
    for kind, (output, states) in (("symbolic", (symbolic, symbolic_states)), ("real", _call(cell))):
        received = [tuple(each.shape)[1:] for each in (output, *states)]
        require(
            received == [shape[1:] for shape in declared],
            f"output and states of a {kind} call must have (height, width, channels) "
            f"{[shape[1:] for shape in declared]}, as `state_shapes` says. Received: {received}",
        )
        batches = {each.shape[0] for each in (output, *states)}
        require(
            batches == {None if kind == "symbolic" else BATCH},
            f"output and states of a {kind} call must have the inputs' batch size. Received: {batches}",
        )


def check_dtypes(cell_class: CellClass, dtype: str = "mixed_bfloat16") -> None:
    """The dtype policy reaches every part, of a copy too; only the states that `half_states` names are in half."""
    cell = cell_class(FILTERS, dtype=dtype)
    for each in (cell, cell_class.from_config(cell.get_config())):
        each.build((None, *MAP_SHAPE))
        policies = {layer.path: layer.dtype_policy.name for layer in each._flatten_layers()}
        others = {path: policy for path, policy in policies.items() if policy != dtype}
        require(not others, f"every layer must have the cell's dtype, {dtype!r}. Received: {others}")
        states = zip(each.state_names, each.get_initial_state(1), strict=True)
        dtypes = {name: keras.backend.standardize_dtype(state.dtype) for name, state in states}
        expected = {
            name: each.compute_dtype if name in each.half_states else each.variable_dtype for name in dtypes
        }
        require(dtypes == expected, f"states must have the dtypes {expected}. Received: {dtypes}")


CELL_CONTRACTS: dict[str, Callable[[CellClass], None]] = {
    "is registered with Keras": check_registration,
    "is made again of its configuration": lambda cell_class: check_configuration(cell_class(FILTERS)),
    "begins with states of zeros": check_initial_states,
    "makes its weights in build and uses all layers": check_weights_are_made_in_build,
    "returns the shapes that it declares": check_shapes,
    "has one dtype policy": check_dtypes,
}
"""What a cell does -> the function (cell class) that raises where it does not."""


def _built(cell_class):
    cell = cell_class(FILTERS)
    cell.build((None, *MAP_SHAPE))
    return cell


def _call(cell):
    """Returns output and new states for inputs of zeros."""
    inputs = np.zeros((BATCH, *MAP_SHAPE), "float32")
    if not cell.built:
        cell.build(inputs.shape)
    _, states = cell.call(keras.ops.convert_to_tensor(inputs), cell.get_initial_state(BATCH))
    require(
        len(states) == len(cell.state_names),
        f"`call` must return a state for each of {cell.state_names}. Received: {len(states)} states",
    )
    return cell(inputs, cell.get_initial_state(BATCH))
