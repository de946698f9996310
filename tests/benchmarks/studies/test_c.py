"""The benchmark of models in C, on digits: ours on this machine, and a peer that writes C by itself."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import c_code
from benchmarks.peers.c_code import SCORES, Model, Peer
from benchmarks.studies import c
from benchmarks.studies.c_everywhere import costs, everywhere
from tests.benchmarks.reading import cells
from tests.compilers import needs

pytestmark = pytest.mark.spawns


def written_out(model: Model) -> str:
    """C of somebody who writes the products out."""
    sums = [
        " + ".join(f"{weight!r} * pixels[{place}]" for place, weight in enumerate(column)) + f" + {bias!r}"
        for column, bias in zip(model.weights.T.tolist(), model.bias.tolist(), strict=True)
    ]
    lines = "".join(f"    output[{k}] = (float)({text});\n" for k, text in enumerate(sums))
    return f"static void score(const double *pixels, float *output) {{\n{lines}}}\n"


PEER = Peer(
    name="by hand", package="json", write=written_out, gives=SCORES, pixel="double",
    call=f"score(state->pixels, output); {c_code.ARGMAX}",
)  # fmt: skip


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> c.Subject:
    return c.prepare("digits", None, tmp_path_factory.mktemp("c"), 20)


@needs("cortex-m3")
def test_compare(subject: c.Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "peer-0"
    monkeypatch.setattr(c, "PEERS", (PEER,))
    monkeypatch.setattr(c, "LEVELS", ("-Os",))
    monkeypatch.setattr(c, "written", lambda *_: c_code.adapt(PEER, written_out(subject.model), subject.model, folder))
    failed, taken, answers = c.compare(subject, tmp_path, ["cortex-m3"])
    assert cells(failed) == []
    ours, peer = cells(taken)
    assert ours[0] == "ours"
    assert float(peer[2]) > 1  # it takes more flash
    assert float(peer[6]) > 1  # and more instructions
    (_, _, _, difference, differ, *carried), (_, _, gives, of_peer, *_) = cells(answers)
    assert float(difference) < 0.05
    assert differ == "0 of 20"
    assert carried == ["yes"] * 4
    assert gives == SCORES
    assert float(of_peer) < 1e-5


def test_everywhere(subject: c.Subject) -> None:
    rows = cells(everywhere(subject.ours, subject.tests[:60], subject.in_8_bits[:60], []))
    assert len(rows) >= 3
    for _, _, images, same, difference, _, flips in rows[:-1]:
        assert (images, same, flips) == ("60", "yes", "0")
        assert float(difference) <= 1e-6
    assert float(rows[-1][4]) <= 2e-5


@needs("cortex-m4f")
def test_costs(subject: c.Subject) -> None:
    rows = cells(costs(subject.ours, subject.images, 640))
    found = {(row[0], row[1]): row for row in rows}
    flash, beyond = found["cortex-m4f", "float32"][2:4]
    assert int(flash.replace(",", "")) - int(beyond.replace(",", "")) == 640
    assert np.unique([row[1] for row in rows]).tolist() == ["float32", "integers"]
