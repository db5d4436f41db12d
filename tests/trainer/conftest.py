"""What tests of trainings share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def steps_not_compiled() -> Iterator[None]:
    """For tests of what surrounds a step: XLA takes four seconds a training, for steps that these do by the dozen. So
    TensorFlow computes them, as where JAX is not installed. The steps themselves are tested compiled.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.training.step.COMPILED", False)
        patch.setattr("trainer.training.step_engine.is_installed", lambda: False)
        yield
