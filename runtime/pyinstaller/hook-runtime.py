"""Freeze all that `kit` imports by name, where kit.py is itself the script: it is no module then, but imports this."""

from pathlib import Path
from typing import Any

from runtime.pyinstaller import metadata, modules


def hook(hook_api: Any) -> None:
    """Add them; called by PyInstaller with its `PostGraphAPI`."""
    if any(Path(script).name == "kit.py" for script in hook_api.analysis.inputs):
        hook_api.add_imports(*modules())
        hook_api.add_datas(metadata())
