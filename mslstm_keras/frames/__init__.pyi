from mslstm_keras.frames.rain import RAIN_SCALES as RAIN_SCALES
from mslstm_keras.frames.rain import RainScale as RainScale
