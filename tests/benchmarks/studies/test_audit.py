"""The benchmark of the audit at a tiny size."""

from functools import partial

import numpy as np
import pytest

from benchmarks.studies import audit
from tests.benchmarks.reading import cells
from trainer import Dataset, load_data


def test_wrong_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "AIMS", {"digits": 0.9})
    ((name, seed, planted, found, aim, _),) = cells(audit.wrong_labels({"digits": partial(load_data, "digits")}, 1))
    assert (name, seed, planted) == ("digits", "0", "43")
    assert float(found) > 0.9
    assert aim == "≥ 0.9: met"


def test_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "COPIES", 40)
    ((name, _, equal, *others, clean, _),) = cells(audit.copies({"digits": partial(load_data, "digits")}, 1))
    assert (name, equal) == ("digits", "1.000")
    assert len(others) == 3
    assert clean.endswith("%")


def test_changed_labels_differ(digits: Dataset) -> None:
    changed, rows = audit.mislabelled(digits, 3)
    differ = np.flatnonzero(changed.train.targets.numpy() != digits.train.targets.numpy())
    assert differ.tolist() == sorted(rows.tolist())
