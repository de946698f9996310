"""The study of the whole command, on digits."""

from pathlib import Path

import pytest

from benchmarks.studies import whole


@pytest.mark.slow
@pytest.mark.spawns
def test_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.report.plots.write_plots", lambda *_, **__: None)  # takes seconds, and has its tests
    whole.check_report(whole.command("digits", tmp_path, tmp_path / "run", "--no-report"), 0.5)
    parts = whole.instrumented("digits", str(tmp_path))
    assert {"import torch", "load the data", "fit", "draw the plots"} <= set(parts)
    assert all(seconds > -0.5 for seconds in parts.values())  # a part less what is counted apart
