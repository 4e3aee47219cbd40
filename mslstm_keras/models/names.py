"""Names of the models that come with the package, known without Keras: `mslstm models` needs no more.

`mslstm_keras.list_models` also knows those that somebody else has registered.
"""

MODELS = (
    "cms_lstm",
    "conv_lstm",
    "mim",
    "mode_rnn",
    "motion_rnn",
    "ms_cms_lstm",
    "ms_lstm",
    "ms_mim",
    "ms_mode_rnn",
    "ms_motion_rnn",
    "ms_precip_lstm",
    "ms_pred_rnn",
    "ms_pred_rnn_plus_plus",
    "ms_pred_rnn_v2",
    "ms_traj_gru",
    "precip_lstm",
    "pred_rnn",
    "pred_rnn_plus_plus",
    "pred_rnn_v2",
    "sms_lstm",
    "tms_lstm",
    "traj_gru",
)
