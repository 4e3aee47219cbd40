"""The scores that the paper prints, to stand beside ours.

| data set | table | columns |
|---|---|---|
| Moving MNIST | 3; 1 for SMS-LSTM and TMS-LSTM, of which it prints the MSE alone | SSIM, MSE, MAE |
| TaxiBJ | 5 | MSE of the forecast frames 1 to 4 |
| KTH | none: curves of SSIM and PSNR in Fig. 8 | |
| Germany | 8; means over lead times as curves in Fig. 10 | CSI and HSS at 0.5, 2 and 5 mm/h |

All are means of three runs of training. What is read off a curve is no printed number, and a mean that the paper leaves
to its reader is not computed here. `protocol_note` says of each data set how those scores were taken and ours are.

Reference:
    Ma, Zhang and Liu 2023, MS-LSTM: Exploring spatiotemporal multiscale representations in video prediction domain.
    https://arxiv.org/abs/2304.07724 (the version of 2023, with eight baselines; v3 of 2024 compares twelve).
"""

from typing import Any

MOVING_MNIST_SCORES = "ssim", "mse", "mae"
MOVING_MNIST = {  # Table 3
    "conv_lstm": (0.810, 90.36, 142.5),
    "pred_rnn": (0.845, 66.17, 118.0),
    "pred_rnn_plus_plus": (0.846, 65.63, 119.0),
    "pred_rnn_v2": (0.855, 61.57, 112.9),
    "mim": (0.855, 63.76, 113.4),
    "motion_rnn": (0.862, 59.62, 108.9),
    "ms_lstm": (0.879, 52.63, 97.9),
}
ABLATION_MSE = {"sms_lstm": 63.90, "tms_lstm": 67.70}  # Table 1; its other two are in Table 3
TAXIBJ_FRAME_MSE = {  # Table 5
    "conv_lstm": (0.199, 0.268, 0.315, 0.356),
    "traj_gru": (0.193, 0.264, 0.305, 0.352),
    "pred_rnn": (0.170, 0.222, 0.257, 0.287),
    "pred_rnn_plus_plus": (0.162, 0.200, 0.234, 0.268),
    "mim": (0.164, 0.208, 0.251, 0.288),
    "motion_rnn": (0.147, 0.188, 0.228, 0.263),
    "cms_lstm": (0.169, 0.210, 0.249, 0.289),
    "ms_lstm": (0.141, 0.173, 0.199, 0.230),
}
GERMANY_SCORES = "csi_0.5", "csi_2", "csi_5", "hss_0.5", "hss_2", "hss_5"
GERMANY = {  # Table 8
    "conv_lstm": (0.341, 0.199, 0.079, 0.490, 0.315, 0.138),
    "traj_gru": (0.378, 0.210, 0.082, 0.531, 0.331, 0.144),
    "pred_rnn": (0.380, 0.231, 0.092, 0.533, 0.358, 0.158),
    "pred_rnn_plus_plus": (0.382, 0.234, 0.091, 0.536, 0.364, 0.158),
    "mim": (0.380, 0.225, 0.087, 0.534, 0.352, 0.153),
    "motion_rnn": (0.387, 0.229, 0.085, 0.541, 0.357, 0.149),
    "precip_lstm": (0.392, 0.234, 0.088, 0.556, 0.364, 0.152),
    "ms_lstm": (0.405, 0.243, 0.096, 0.562, 0.378, 0.164),
}

_MOVING_MNIST_NOTE = (
    "Published: tables 1 and 3 of the paper, means of three runs. The paper does not say which frames it averages; "
    "the public code averages all 19 predictions, 9 of which see the frame before, and not the 10 of the forecast "
    "alone, which are harder. Its test digits come from MNIST's train part, ours from the test part, as the paper says."
)
_TAXIBJ_NOTE = (
    "Published: table 5 of the paper, means of three runs; MSE of inflow in [0, 1], summed over the 32 x 32 cells, of "
    "the 4 forecast frames. The public code reads windows from the newest frame to the oldest and cuts flows to 8 "
    "bits; "
)
_TAXIBJ_NOTES = {
    "inflow": _TAXIBJ_NOTE + "here time runs forward, flows are not cut, and no frame is in both parts.",
    "reference_order": _TAXIBJ_NOTE + "so does this config.",
}
_KTH_NOTE = (
    "Published: nothing in numbers; the paper draws SSIM and PSNR of each frame as curves (Fig. 8). Its lists of "
    "frames are not published either, so that its clips may be others than these."
)
_GERMANY_NOTE = (
    "Published: table 8 of the paper, means of three runs. The paper does not say which frames it averages; the public "
    "code averages all 7 predictions, 3 of which see the map before, and not the 4 of the forecast alone, which are "
    "harder. It resizes pixels, not rain rates, bilinearly, and takes 48 successive files for 4 hours whatever their "
    "times; "
)
_GERMANY_NOTES = {
    "germany": _GERMANY_NOTE + "here rain rates are averaged over 5 x 5 cells, without windows across gaps.",
    "germany_reference": _GERMANY_NOTE
    + "here pixels are averaged over 5 x 5 cells, without windows across gaps.",
}
_NOTES = {
    "moving_mnist_clips/paper": _MOVING_MNIST_NOTE,
    **{f"taxibj_clips/{config}": note for config, note in _TAXIBJ_NOTES.items()},
    "kth_clips/three_actions": _KTH_NOTE,
    "kth_clips/trimmed": _KTH_NOTE,
    **{f"dwd_radar_clips/{config}": note for config, note in _GERMANY_NOTES.items()},
}


def published_scores(data: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the scores that the paper prints for a data set.

    Args:
        data: str. TFDS name with its config, such as "taxibj_clips/inflow".

    Returns:
        Name of a model -> score -> {"mean": float or None, "per_frame": list of floats, one per forecast frame, or
        None}; None is what the paper does not print. Scores are "mse", "mae" (sums over the pixels of a frame),
        "ssim", and "csi_0.5" or "hss_0.5" with the threshold in mm/h. Empty for data on which the paper prints none.
    """
    if data == "moving_mnist_clips/paper":
        printed = {name: _means(MOVING_MNIST_SCORES, row) for name, row in MOVING_MNIST.items()}
        return printed | {name: _means(("mse",), (mse,)) for name, mse in ABLATION_MSE.items()}
    if data in ("taxibj_clips/inflow", "taxibj_clips/reference_order"):
        return {
            name: {"mse": {"mean": None, "per_frame": list(row)}} for name, row in TAXIBJ_FRAME_MSE.items()
        }
    if data in ("dwd_radar_clips/germany", "dwd_radar_clips/germany_reference"):
        return {name: _means(GERMANY_SCORES, row) for name, row in GERMANY.items()}
    return {}


def protocol_note(data: str) -> str | None:
    """Returns how the paper's scores on a data set differ from ours, for a report to print beside them.

    Args:
        data: str. TFDS name with its config.

    Returns:
        A few sentences; None for data that is not the paper's.
    """
    return _NOTES.get(data)


def _means(scores, row):
    return {score: {"mean": mean, "per_frame": None} for score, mean in zip(scores, row, strict=True)}
