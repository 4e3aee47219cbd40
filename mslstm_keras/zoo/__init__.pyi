from mslstm_keras.zoo.entry import ZooEntry as ZooEntry
from mslstm_keras.zoo.loading import data_of as data_of
from mslstm_keras.zoo.loading import load_runs as load_runs
from mslstm_keras.zoo.presets import list_presets as list_presets
