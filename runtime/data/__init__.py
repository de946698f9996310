"""Readers of labelled images: a folder, Parquet or IDX files go in; encoded images or pixels, and targets come out.

No torch, and no reader imports another. Imported by `runtime.scoring` and `trainer.data`.
"""
