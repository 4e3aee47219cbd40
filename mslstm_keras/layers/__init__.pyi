from mslstm_keras.layers.gates import GateConv as GateConv
from mslstm_keras.layers.patch import DepthToSpace as DepthToSpace
from mslstm_keras.layers.patch import SpaceToDepth as SpaceToDepth
