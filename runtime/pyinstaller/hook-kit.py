"""Freeze all that `kit` imports by name, where a script imports it."""

from runtime.pyinstaller import metadata, modules

hiddenimports, datas = modules(), metadata()
