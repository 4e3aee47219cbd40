from mslstm_keras.frames.maps import write_maps as write_maps
from mslstm_keras.frames.rain import RAIN_SCALES as RAIN_SCALES
from mslstm_keras.frames.rain import RainScale as RainScale
from mslstm_keras.frames.scales import LinearScale as LinearScale
from mslstm_keras.frames.scales import LogScale as LogScale
from mslstm_keras.frames.scales import parse_scale as parse_scale
