"""Node on this machine."""

import shutil

import pytest

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(not NODE, reason="no node: apt-get install nodejs")
