from mslstm_keras.evaluation.comparison import sample_forecasts as sample_forecasts
from mslstm_keras.evaluation.curves import lead_time_figure as lead_time_figure
from mslstm_keras.evaluation.extrapolation import optical_flow_extrapolation as optical_flow_extrapolation
from mslstm_keras.evaluation.pareto import pareto_figure as pareto_figure
from mslstm_keras.evaluation.protocols import Protocol as Protocol
from mslstm_keras.evaluation.protocols import find_protocol as find_protocol
from mslstm_keras.evaluation.report import write_report as write_report
from mslstm_keras.evaluation.tables import score_table as score_table
