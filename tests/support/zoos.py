"""The zoo of one entry that tests look at."""

import json

NAME = "ms_lstm_moving_mnist"


def index_of(zoo):
    return json.loads((zoo / "index.json").read_text())["entries"]
