from mslstm_keras.radar.geotiff import write_geotiff as write_geotiff
