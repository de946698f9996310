"""What the tests of the arithmetic share."""

import pytest

from tests.export.arithmetic.regression import Digits, train


@pytest.fixture(scope="session")
def trained() -> Digits:
    return train()
