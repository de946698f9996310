"""Damage to exported files, and wrong exports: that ours notices, and peers are counted rightly."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies import damage
from runtime import KitError

pytestmark = [pytest.mark.spawns, pytest.mark.slow]  # the exporters of `folder`

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


@linux
def test_all_damage_to_ours_is_caught(folder: Path) -> None:
    numbers = np.load(folder / "weights.npz")
    damages = damage.damaged(folder / "ours", numbers["weights"], numbers["bias"])
    for path in (path for files in damages.values() for path in files):
        with pytest.raises(KitError):
            damage.open_ours(path)
    damage.open_ours(folder / "ours" / "model.onnx")


def test_all_wrong_exports_of_ours_are_caught(folder: Path) -> None:
    assert damage.wrong_exports(folder, "ours") == dict.fromkeys(damage.WRONG, True)


def test_only_the_errors_that_are_meant_count_as_caught() -> None:
    def refuse() -> None:
        raise KitError("refused")

    assert damage.caught(refuse, KitError)
    assert not damage.caught(lambda: None)
    with pytest.raises(ZeroDivisionError):
        damage.caught(lambda: 1 / 0, KitError)


@linux
def test_a_wrong_export_of_a_peer_answers_otherwise(folder: Path) -> None:
    assert damage.wrong_exports(folder, "skl2onnx") == dict.fromkeys(damage.WRONG, False)
