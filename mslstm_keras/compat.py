"""What this package uses of other packages although they do not document it, in one place.

Any release of those packages may change it. `tests/test_compat.py` then fails and names what has changed. It also makes
sure that nothing else of the kind is used.

- `NAMES` come from private modules. Import them from here: `from mslstm_keras.compat import AutocastScope`. A package
  is imported when one of its names is asked for, and no earlier.
- `MEMBERS` are methods and attributes. They stay where they are used: most of them are overridden by a subclass.
"""

import importlib
from typing import Any, NamedTuple


class Private(NamedTuple):
    """Something that another package does not document.

    Attributes:
        where: the module of a name; the public name of the class of a member.
        signature: how it is called, without annotations; "" for what is not called.
        since: the oldest version that is known to have it like that.
        why: what it is needed for.
    """

    where: str
    signature: str
    since: str
    why: str


NAMES = {
    "AutocastScope": Private(
        "keras.src.backend",
        "(dtype)",
        "keras 3.0",
        "Reads weights unrounded under mixed precision: `AutocastScope(None)`. All public ways round them.",
    ),
    "FuncGraph": Private(
        "tensorflow.__internal__",
        "(name, collections=None, capture_by_value=None, structured_input_signature=None, structured_outputs=None)",
        "tensorflow 2.21",
        "Tells the size of a value without computing it, even if it is made of tensors outside of the graph, which a "
        "`tf.Graph` cannot read. Tracing a `tf.function` does the same and takes twice as long.",
    ),
    "write_fingerprint": Private(
        "tensorflow.python.saved_model.fingerprinting_utils",
        "(export_dir)",
        "tensorflow 2.21",
        "Writes the fingerprint of a SavedModel anew, whose graph has become smaller. Only its reading is public.",
    ),
    "OracleServicer": Private(
        "keras_tuner.src.distribute.oracle_chief",
        "(oracle)",
        "keras_tuner 1.4.7",
        "Answers the workers of a search. KerasTuner's own server sleeps for 20 seconds at a time while the last "
        "trials run, and may end before a worker has got its answer.",
    ),
    "exit_chief": Private(
        "keras_tuner.src.distribute.oracle_chief",
        "(*args, **kwargs)",
        "keras_tuner 1.4.7",
        "Says of an oracle whether all its workers have been told to stop.",
    ),
    "get_service_grpc": Private(
        "keras_tuner.src.protos",
        "()",
        "keras_tuner 1.4.0",
        "Adds an `OracleServicer` to a server of gRPC.",
    ),
    "DATA_DIR": Private(
        "tensorflow_datasets.core.constants",
        "",
        "tensorflow_datasets 4.9.0",
        "Folder of data sets where nobody names one, which TFDS takes from TFDS_DATA_DIR.",
    ),
    "load_url_infos": Private(
        "tensorflow_datasets.core.download.checksums",
        "(path)",
        "tensorflow_datasets 4.9.0",
        "Checksums for a download manager that belongs to no builder.",
    ),
    "TfRecordFileAdapter": Private(
        "tensorflow_datasets.core.file_adapters",
        "()",
        "tensorflow_datasets 4.9.0",
        "Writes the shards of a data set that is joined of parts, as TFDS writes those of one that is not.",
    ),
    "ArrayRecordFileAdapter": Private(
        "tensorflow_datasets.core.file_adapters",
        "()",
        "tensorflow_datasets 4.9.0",
        "Writes the copy of a data set that has random access. TFDS' own converter needs apache-beam.",
    ),
    "ShardConfig": Private(
        "tensorflow_datasets.core.utils.shard_utils",
        "(num_shards=None, min_shard_size=67108864, max_shard_size=1073741824, overhead=16)",
        "tensorflow_datasets 4.9.0",
        "How many shards TFDS makes: a data set that is joined of parts has as many.",
    ),
    "get_shard_boundaries": Private(
        "tensorflow_datasets.core.utils.shard_utils",
        "(num_examples, number_of_shards)",
        "tensorflow_datasets 4.9.0",
        "Which examples are in which shard, likewise.",
    ),
    "tqdm": Private(
        "tensorflow_datasets.core.utils",
        "(*args, **kwargs)",
        "tensorflow_datasets 4.9.0",
        "A progress bar that `tfds.disable_progress_bar` turns off.",
    ),
}

MEMBERS = {
    "__call__": Private(
        "keras.layers.Layer",
        "(self, *args, **kwargs)",
        "keras 3.0",
        "Overridden: a cell casts its inputs and states before, and its outputs behind, all that Keras does in a call.",
    ),
    "inner_loop": Private(
        "keras.layers.RNN",
        "(self, sequences, initial_state, mask, training=False)",
        "keras 3.0",
        "Overridden: each state keeps a dtype of its own, while `RNN.call` gives all states one. Called by `Rollout`.",
    ),
    "next": Private(
        "keras.random.SeedGenerator",
        "(self, ordered=True)",
        "keras 3.0",
        "Overridden: a seed that is set for each step, so that a run which is resumed repeats its draws.",
    ),
    "_flatten_layers": Private(
        "keras.layers.Layer",
        "(self, include_self=True, recursive=True)",
        "keras 3.0",
        "All layers inside a cell. Only models have a public way, `layers`, and it does not look into cells.",
    ),
    "_keras_history": Private(
        "keras.KerasTensor",
        "",
        "keras 3.0",
        "The operation, and which of its calls, that a symbolic tensor comes from.",
    ),
    "_inbound_nodes": Private(
        "keras.Operation", "", "keras 3.0", "The calls of an operation, with their inputs and outputs."
    ),
    "_clip_gradients": Private(
        "keras.optimizers.Optimizer",
        "(self, grads)",
        "keras 3.0",
        "Overridden: the norm is that of the gradients of all devices together.",
    ),
    "_iterations": Private(
        "keras.optimizers.Optimizer",
        "",
        "keras 3.15",
        "The number of batches, of which several make one of `iterations` where gradients are accumulated.",
    ),
    "check_finite": Private(
        "keras.optimizers.LossScaleOptimizer",
        "(self, grads)",
        "keras 3.0",
        "Overridden: asks all devices whether their gradients are finite.",
    ),
    "_duplicate": Private(
        "keras_tuner.Oracle",
        "(self, values)",
        "keras_tuner 1.4.0",
        "Overridden: values that were refused are passed over just as those that have been tried.",
    ),
    "_random_values": Private(
        "keras_tuner.Oracle",
        "(self)",
        "keras_tuner 1.4.0",
        "Overridden: random values are drawn again if they would cost too much. Called if the optimum of a Gaussian "
        "process is not new.",
    ),
    "_save_trial": Private(
        "keras_tuner.Oracle",
        "(self, trial)",
        "keras_tuner 1.4.0",
        "Overridden: the file of a trial is written whole or not at all.",
    ),
    "_download_and_prepare": Private(
        "tensorflow_datasets.core.GeneratorBasedBuilder",
        "(self, dl_manager, download_config)",
        "tensorflow_datasets 4.9.0",
        "Overridden: a data set is joined of parts that are there.",
    ),
    "_get_filename_template": Private(
        "tensorflow_datasets.core.DatasetBuilder",
        "(self, split_name)",
        "tensorflow_datasets 4.9.10",
        "Names of the files of a split, for a data set that is joined of parts.",
    ),
    "_make_download_manager": Private(
        "tensorflow_datasets.core.DatasetBuilder",
        "(self, download_dir, download_config)",
        "tensorflow_datasets 4.9.0",
        "Downloads without preparing, as `tfds build --download_only` does.",
    ),
}

FUNCTIONAL = "keras.src.models.functional"
"""Module that Keras writes into the file of a functional model, since 3.0."""


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(NAMES[name].where), name)
