"""`python -m mslstm_keras` is the command `mslstm`."""

import sys

from mslstm_keras.cli import main

sys.exit(main())
