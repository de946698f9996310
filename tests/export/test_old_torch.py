"""Artefacts for torch, opened by a torch older than the one that wrote them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from export.formats import FORMATS
from tests.environments import install, run_with
from trainer import Checkpoint

OLDER = "2.13.0"

# Knows nothing of the kit. Arguments: the images, and the two files.
SCRIPT = """
import json, sys, warnings
import numpy, torch

warnings.simplefilter("ignore")
images = torch.from_numpy(numpy.load(sys.argv[1]))
extra = {"kit.json": ""}, {"kit.json": ""}
scripted = torch.jit.load(sys.argv[2], _extra_files=extra[0])
program = torch.export.load(sys.argv[3], extra_files=extra[1]).module()
answers = [{"labels": json.loads(text["kit.json"])["labels"], "probabilities": module(images).tolist()}
           for module, text in zip((scripted, program), extra)]
print(json.dumps({"torch": torch.__version__, "answers": answers}))
"""


@pytest.mark.spawns
@pytest.mark.slow
def test_an_older_torch(exported: dict[str, Path], checkpoint: Checkpoint, tmp_path: Path) -> None:
    if torch.__version__.partition("+")[0] <= OLDER:
        pytest.skip(f"torch {torch.__version__} is not newer than {OLDER}")
    python = install(tmp_path / "environment", [f"torch=={OLDER}", "numpy"])
    np.save(tmp_path / "images.npy", checkpoint.golden_images)
    found = json.loads(
        run_with(python, SCRIPT, tmp_path / "images.npy", exported["torchscript"], exported["pt2"]).splitlines()[-1]
    )
    assert found["torch"].startswith(OLDER)
    for answer in found["answers"]:
        assert answer["labels"] == list(checkpoint.labels)
        np.testing.assert_allclose(
            answer["probabilities"], checkpoint.golden_probabilities, rtol=0, atol=FORMATS["torchscript"].tolerance
        )
