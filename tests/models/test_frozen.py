"""Our own models still compute what they did when they agreed with the public implementation."""

import numpy as np
import pytest

from mslstm_keras import list_models
from tests.frozen.make import FOLDER, frozen_outputs

pytestmark = pytest.mark.usefixtures("many_models")


@pytest.mark.parametrize("name", list_models())
def test_frozen_outputs(name):
    path = FOLDER / f"{name}.npz"
    assert path.exists(), f"a model is frozen when it is added: python -m tests.frozen.make {name}"
    outputs = frozen_outputs(name)
    with np.load(path) as frozen:
        np.testing.assert_allclose(outputs["predictions"], frozen["predictions"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(outputs["gradient_norms"], frozen["gradient_norms"], rtol=1e-4)
    assert np.std(outputs["predictions"]) > 0.1 and np.all(outputs["gradient_norms"] > 1e-4)
