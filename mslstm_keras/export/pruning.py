"""SavedModels without what no signature needs."""

from pathlib import Path

from mslstm_keras.compat import write_fingerprint


def prune_saved_model(folder: Path) -> None:
    """Removes the operations of a SavedModel that nothing needs or has twice: its results stay the same.

    The loop of `keras.layers.RNN` computes a step once before it begins, to learn of its shape, and does not use the
    result; every bound of a slice is a constant of its own. TensorFlow passes over both when it runs, but stores them:
    up to two fifths of the file, and of the time to read it.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in saved.meta_graphs:
        stateless = {op.name for op in graph.meta_info_def.stripped_op_list.op if not op.is_stateful}
        for function in graph.graph_def.library.function:
            _use_the_first(function, stateless)
            needed = _needed(function)
            kept = [node for node in function.node_def if node.name in needed]
            del function.node_def[:]
            function.node_def.extend(kept)
    path.write_bytes(saved.SerializeToString(deterministic=True))
    write_fingerprint(str(folder))  # it names the graph by its operations


def _use_the_first(function, stateless):
    """Of stateless operations with the same inputs and attributes, lets only the first be used."""
    first: dict[bytes, str] = {}
    instead: dict[str, str] = {}

    def rename(tensor):
        operation = _operation(tensor)
        return tensor.replace(operation, instead.get(operation, operation), 1)

    for node in function.node_def:  # a traced function lists an operation after its inputs
        inputs = [rename(each) for each in node.input]
        del node.input[:]
        node.input.extend(inputs)
        if node.op in stateless:
            name, node.name = node.name, ""
            instead[name] = first.setdefault(node.SerializeToString(deterministic=True), name)
            node.name = name
    for results in (function.ret, function.control_ret):
        for result, tensor in results.items():
            results[result] = rename(tensor)


def _needed(function):
    """Returns the names of the operations that a function's results, or what else it must do, come from."""
    inputs = {node.name: [_operation(each) for each in node.input] for node in function.node_def}
    to_do = [_operation(result) for result in function.ret.values()] + list(function.control_ret.values())
    needed = set()
    while to_do:
        name = to_do.pop()
        if name in inputs and name not in needed:  # arguments are no operations
            needed.add(name)
            to_do += inputs[name]
    return needed


def _operation(tensor):
    """Returns the name of the operation of "operation:output:0", or of "^operation", which only has to run before."""
    return tensor.removeprefix("^").partition(":")[0]
