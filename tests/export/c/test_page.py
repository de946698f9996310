"""The C on the page about it compiles."""

import shutil
from pathlib import Path

from tests.compilers import compiled
from tests.reader import ROOT, blocks


def test_the_page_compiles(c_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(c_folder, tmp_path / "digits_c")
    code = [block.text for block in blocks(ROOT / "docs" / "c.md") if block.language == "c"]
    assert len(code) == 2
    uses = "int main(void)\n{\n    answer();\n    return answer_of_camera == 0;\n}\n"
    compiled(folder, "\n".join([*code, uses]), "-Wno-address")
