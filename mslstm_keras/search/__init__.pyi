from mslstm_keras.search.space import build_hypermodel as build_hypermodel
