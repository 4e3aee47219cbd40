"""Where symbolic tensors come from."""

from typing import Any


def origin(tensor: Any) -> tuple[Any, Any]:
    """Returns the operation that a symbolic tensor comes from, and the one of its calls; (None, None) for an input."""
    # Keras has no public way from a tensor to the one call, of perhaps several, that it comes from.
    operation, index, _ = tensor._keras_history
    return (operation, operation._inbound_nodes[index]) if operation else (None, None)
