from mslstm_keras.training.devices import connect_hosts as connect_hosts
from mslstm_keras.training.devices import place as place
from mslstm_keras.training.devices import split_processor as split_processor
