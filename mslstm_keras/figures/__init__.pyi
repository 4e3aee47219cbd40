from mslstm_keras.figures.clips import clip_forecast_figure as clip_forecast_figure
from mslstm_keras.figures.comparison import comparison_animation as comparison_animation
from mslstm_keras.figures.comparison import comparison_figure as comparison_figure
from mslstm_keras.figures.comparison import contact_sheet as contact_sheet
from mslstm_keras.figures.page import clip_forecast_page as clip_forecast_page
from mslstm_keras.figures.page import rain_forecast_page as rain_forecast_page
from mslstm_keras.figures.rain import rain_forecast_figure as rain_forecast_figure
from mslstm_keras.figures.rain import rain_sheet as rain_sheet
