"""A loop over time that keeps less, and a batch cut for the threads of a processor.

With `lanes` and `lengths` the only code of layers, cells and models that knows one backend from another. Results are
those of the stock loop of `keras.layers.RNN`.
"""

import math
from collections.abc import Callable, Sequence

import keras
from keras import ops

from mslstm_keras.typing import Tensor

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


def scan(
    step: Callable[[Tensor, list[Tensor], list[Tensor]], list[Tensor]],
    sequence: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    *,
    stretch: int,
    unroll: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """Runs a step over a sequence and keeps so little that the gradient has to repeat the steps.

        s_{t+1} = step(x_t, s_t, w),   y_t = s_{t+1}[0]                    t = 0 .. T - 1

    Kept are the states before every `stretch`-th step. The gradient is backpropagation through time, written out; it
    first goes over a stretch for the states between, then back through it:

        d_x_t, d_s_t, d_w_t = (d step / d(x, s, w))^T (d_s_{t+1} + d_y_t),    d_w = sum_t d_w_t

    Args:
        step: function (x_t, states, weights) -> new states, of nothing but its arguments. The first state is the
            output.
        sequence: tensor (batch, time, ...), time known.
        states: tensors s_0, of the shapes and dtypes that `step` returns.
        weights: tensors w.
        stretch: int. 1 repeats each step once; more keeps less and repeats each step twice.
        unroll: bool. Copies the step for each time instead of looping.

    Returns:
        Tensor (batch, time, ...): the outputs y_t. Behind it the last states s_T, a list.

    Reference: Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174.
    """
    run = _backpropagating if keras.backend.backend() == "tensorflow" else _rematerialised
    outputs, last = run(step, _swap_time(sequence), list(states), list(weights), stretch, unroll)
    return _swap_time(outputs), last


def _rematerialised(step, sequence, states, weights, stretch, unroll):
    """The scan by `keras.remat`, which works in the loops of other backends but not in those of TensorFlow."""
    steps = sequence.shape[0]

    def once(states, inputs):
        states = step(inputs, states, weights)
        return states, states[0]

    def through(states, inputs):
        return ops.scan(keras.remat(once), states, inputs)

    whole = steps - steps % stretch
    stretches = ops.reshape(sequence[:whole], (-1, stretch, *sequence.shape[1:]))
    states, outputs = ops.scan(keras.remat(through), states, stretches)
    outputs = ops.reshape(outputs, (whole, *outputs.shape[2:]))
    if whole < steps:
        states, rest = keras.remat(through)(states, sequence[whole:])
        outputs = ops.concatenate([outputs, rest], axis=0)
    return outputs, states


def _backpropagating(step, sequence, states, weights, stretch, unroll):
    """The scan with its gradient written out, on TensorFlow."""
    steps = sequence.shape[0]
    stretches = math.ceil(steps / stretch)

    def span(number):
        """First step of a stretch, and how many steps it has: the last one may be shorter."""
        first = number * stretch
        if steps % stretch == 0:
            return first, stretch
        return first, min(stretch, steps - first) if unroll else tf.minimum(stretch, steps - first)

    def loop(length, body, values):
        if unroll or (isinstance(length, int) and length == 1):
            for number in range(length):
                values = body(number, values)
            return values
        return tf.while_loop(
            lambda number, values: number < length,
            lambda number, values: (number + 1, body(number, values)),
            (0, values),
            parallel_iterations=1,  # otherwise steps are repeated long before their gradient is due, and kept
        )[1]

    @tf.custom_gradient
    def run(sequence, states, weights):
        def forward(number, values):
            stack, states, outputs = values
            first, length = span(number)

            def advance(index, values):
                states, outputs = values
                states = step(sequence[first + index], states, weights)
                return states, _push(outputs, states[:1])

            return _push(stack, states), *loop(length, advance, (states, outputs))

        values = _stack(states, stretches), states, _stack(states[:1], steps)
        kept, last, outputs = loop(stretches, forward, values)

        def gradient(d_outputs, *d_last):
            def backward(number, values):
                kept, *gradients = values
                kept, start = _pop(kept, states)
                first, length = span(stretches - 1 - number)

                def repeat(index, values):
                    between, now = values
                    now = step(sequence[first + index], now, weights)
                    return _push(between, now), now

                between, _ = loop(length - 1, repeat, (_push(_stack(states, stretch), start), start))

                def step_back(index, values):
                    between, d_states, d_weights, d_sequence = values
                    between, before = _pop(between, states)
                    time = first + length - 1 - index
                    frame = sequence[time]
                    with tf.GradientTape(watch_accessed_variables=False) as tape:
                        tape.watch((frame, before, weights))
                        after = step(frame, before, weights)
                    d_after = [d_states[0] + d_outputs[time], *d_states[1:]]
                    d_frame, d_states, d_step = tape.gradient(
                        after, (frame, before, weights), d_after, unconnected_gradients="zero"
                    )
                    d_weights = [total + one for total, one in zip(d_weights, d_step, strict=True)]
                    return between, d_states, d_weights, _push(d_sequence, [d_frame])

                _, *gradients = loop(length, step_back, (between, *gradients))
                return kept, *gradients

            zeros = [tf.zeros_like(weight) for weight in weights]
            values = kept, list(d_last), zeros, _stack([sequence[0]], steps)
            _, d_states, d_weights, d_sequence = loop(stretches, backward, values)
            return tf.reverse(_unstack(d_sequence, sequence[0], steps), [0]), d_states, d_weights

        return (_unstack(outputs, states[0], steps), *last), gradient

    outputs, *states = run(sequence, states, weights)
    return outputs, states


def _swap_time(tensor):
    """Exchanges batch and time."""
    return ops.transpose(tensor, (1, 0, *range(2, len(tensor.shape))))


def _stack(like, size):
    """Returns an empty stack for each tensor of a list."""
    return [
        tf.raw_ops.EmptyTensorList(
            element_shape=tf.shape(one), element_dtype=one.dtype, max_num_elements=size
        )
        for one in like
    ]


def _push(stacks, tensors):
    return [
        tf.raw_ops.TensorListPushBack(input_handle=stack, tensor=tensor)
        for stack, tensor in zip(stacks, tensors, strict=True)
    ]


def _pop(stacks, like):
    popped = [
        tf.raw_ops.TensorListPopBack(
            input_handle=stack, element_shape=_known_shape(one), element_dtype=one.dtype
        )
        for stack, one in zip(stacks, like, strict=True)
    ]
    return [stack for stack, _ in popped], [tensor for _, tensor in popped]


def _unstack(stacks, like, size):
    (stack,) = stacks
    return tf.raw_ops.TensorListStack(
        input_handle=stack, element_shape=_known_shape(like), element_dtype=like.dtype, num_elements=size
    )


def _known_shape(tensor):
    return [-1 if side is None else side for side in tensor.shape]
