from mslstm_keras.cost.account import Cost as Cost
from mslstm_keras.cost.account import cost_table as cost_table
from mslstm_keras.cost.account import count_cost as count_cost
from mslstm_keras.cost.memory import training_memory as training_memory
