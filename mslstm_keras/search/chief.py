"""A search by several processes: a chief hands out trials, workers train them.

KerasTuner's variables say which of them a process is, and where the chief listens.
"""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from mslstm_keras.search.results import RESULTS, read_results

if TYPE_CHECKING:
    import keras_tuner

NAME, IP, PORT = VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
CHIEF_SECONDS = 600  # how long a worker waits for its chief to come up


def find_role() -> str:
    """Returns "chief", "worker" or "alone".

    Raises:
        ValueError: if some of the variables are set and others are not.
    """
    given = [name for name in (IP, PORT) if name in os.environ]
    if not given:
        return "alone"
    if missing := [name for name in VARIABLES if name not in os.environ]:
        raise ValueError(
            f"`{missing[0]}` must be set beside the other variables of a chief and its workers. "
            f"Received: {', '.join(given)} alone"
        )
    return "chief" if "chief" in os.environ[NAME] else "worker"


def wait_for_chief(run_dir: Path) -> bool:
    """Waits until the chief answers. Returns False if there is none because the search has ended.

    Raises:
        OSError: if no chief answers and the search has not ended.
    """
    address = os.environ[IP], int(os.environ[PORT])
    deadline = time.monotonic() + CHIEF_SECONDS
    while True:
        try:
            socket.create_connection(address, timeout=5).close()
            return True
        except OSError as error:
            if (run_dir / RESULTS).exists() and read_results(run_dir)["finished"]:
                return False
            if time.monotonic() > deadline:
                raise OSError(f"no chief answers at {address[0]}:{address[1]} ({error})") from error
        time.sleep(1)


def serve(oracle: "keras_tuner.Oracle") -> None:
    """Hands out the trials of an oracle to workers, until all of them have been told that there are no more.

    Raises:
        OSError: if the address is taken.
    """
    import grpc

    from mslstm_keras.compat import OracleServicer, exit_chief, get_service_grpc

    address = f"{os.environ[IP]}:{os.environ[PORT]}"
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
    servicer = OracleServicer(oracle)
    get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"the chief cannot listen at {address}") from error
    server.start()
    while not (servicer.stop_triggered and exit_chief(oracle)):
        time.sleep(0.2)
    server.stop(grace=5).wait()
