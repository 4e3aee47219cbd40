"""`python -m mslstm_keras` is the command `mslstm`."""

import sys

from mslstm_keras.cli import main

if __name__ == "__main__":
    sys.exit(main())
