"""Benchmarks: what the kit costs, next to peers; the figures are published in docs/.

Each command is a module here (`python -m benchmarks.train`) or the package `report`. They import `studies`, which
import `peers` and `tools`; nothing outside of this folder imports any of it except the tests.
"""
