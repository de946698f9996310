"""The benchmark of models in C, on digits: ours on this machine, and a peer that writes C by itself."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import c_code
from benchmarks.peers.c_code import SCORES, Model, Outcome, Peer
from benchmarks.studies import c
from benchmarks.studies.c_everywhere import costs, everywhere
from benchmarks.tools import page
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


@pytest.fixture
def peer_alone(subject: c.Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PEER in place of those that need packages."""

    def written(*_: object) -> Outcome:
        c_code.adapt(PEER, written_out(subject.model), subject.model, tmp_path / "peer-0")
        return Outcome("by hand", (), "")

    monkeypatch.setattr(c, "PEERS", (PEER,))
    monkeypatch.setattr(c, "LEVELS", ("-Os",))
    monkeypatch.setattr(c, "written", written)


@pytest.mark.usefixtures("peer_alone")
def test_compare_on_this_machine(subject: c.Subject, tmp_path: Path) -> None:
    answers, failed = c.compare(subject, tmp_path, [])
    assert cells(failed) == []
    (ours, _, _, difference, differ, *carried), (peer, _, gives, of_peer, differ_of_peer, *_) = cells(answers)
    assert (ours, peer) == ("ours", "by hand")
    assert float(difference) < 0.05
    assert differ == differ_of_peer == f"0 of {len(subject.tests)}"
    assert carried == ["yes"] * 4
    assert gives == SCORES
    assert float(of_peer) < 1e-5


@pytest.mark.slow
@needs("cortex-m3")
@pytest.mark.usefixtures("peer_alone")
def test_compare_on_a_target(subject: c.Subject, tmp_path: Path) -> None:
    taken, *_ = c.compare(subject, tmp_path, ["cortex-m3"])
    level, shares, _ = taken.split("\n\n")
    assert level == "`-Os`"
    found = page.shares_of(shares)
    assert found["flash, Cortex-M3"]["by hand"] > 1
    assert found["instructions, Cortex-M3"]["by hand"] > 1


@pytest.mark.usefixtures("peer_alone")
def test_what_does_not_compile_has_a_row(subject: c.Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.written_out", lambda _: "#error no room\n")
    answers, failed = c.compare(subject, tmp_path, [])
    ((name, where, happened),) = cells(failed)
    assert (name, where) == ("by hand", "host")
    assert "no room" in happened
    assert len(cells(answers)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands in for Python")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("""echo '{"version": " 9.9", "includes": ["there"], "error": ""}'""", ("m2cgen 9.9", ["there"], "")),
        ("echo out of memory >&2; exit 3", ("m2cgen", [], "found 3: out of memory")),
    ],
    ids=["ends well", "does not"],
)
def test_the_peers_have_a_python_of_their_own(
    script: str, expected: tuple[str, list[str], str], tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o700)
    title, includes, error = c_code.written(0, tmp_path / "model.json", tmp_path, python)
    assert title == f"{expected[0]}, {c_code.PEERS[0].name}"
    assert list(includes) == expected[1]
    assert error.endswith(expected[2])
    assert bool(error) == bool(expected[2])


def test_everywhere(subject: c.Subject) -> None:
    rows = cells(everywhere(subject.ours, subject.tests[:60], subject.in_8_bits[:60], []))
    assert len(rows) >= 3
    for _, _, images, same, difference, _, flips in rows[:-1]:
        assert (images, same, flips) == ("60", "yes", "0")
        assert float(difference) <= 1e-6
    assert float(rows[-1][4]) <= 2e-5


@pytest.mark.slow
@needs("cortex-m4f")
def test_costs(subject: c.Subject) -> None:
    rows = cells(costs(subject.ours, subject.images, 640))
    found = {(row[0], row[1]): row for row in rows}
    flash, beyond = found["cortex-m4f", "float32"][2:4]
    assert int(flash.replace(",", "")) - int(beyond.replace(",", "")) == 640
    assert np.unique([row[1] for row in rows]).tolist() == ["float32", "integers"]
