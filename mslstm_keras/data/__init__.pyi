from mslstm_keras.data.catalogue import describe as describe
from mslstm_keras.data.catalogue import find_builder as find_builder
from mslstm_keras.data.catalogue import list_data as list_data
