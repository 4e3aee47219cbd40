from mslstm_keras.radar.geotiff import write_geotiff as write_geotiff
from mslstm_keras.radar.resizing import resize_maps as resize_maps
