"""The pictures of ratios."""

import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.tools import bars
from benchmarks.tools.page import MOST_PICTURE


def test_a_picture_is_small_and_the_same_each_time(tmp_path: Path) -> None:
    peers = {"ours": 1.0, "a peer": 30.0, "another": 0.5}
    panels = {f"cost {number}": peers for number in range(7)}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bars.draw(panels, tmp_path / name / "bars.svg")
    data = (tmp_path / "a" / "bars.svg").read_bytes()
    assert data == (tmp_path / "b" / "bars.svg").read_bytes()
    assert len(data) < MOST_PICTURE
    text = "".join(ET.fromstring(data).itertext())
    assert all(shown in text for shown in ("a peer", "30.0×", "0.5×", "cost 6", "logarithmic"))
    assert {"1×", "10×"} <= {one.text for one in ET.fromstring(data).iter("{http://www.w3.org/2000/svg}text")}, "ticks"
