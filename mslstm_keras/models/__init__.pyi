from mslstm_keras.models.registry import dtype_policy as dtype_policy
from mslstm_keras.models.resizing import resized_model as resized_model
from mslstm_keras.models.rollout import SpatiotemporalRNN as SpatiotemporalRNN
