"""What is found on held-out images after the fit: calibrated probabilities, thresholds, prediction sets, familiarity.

Imported by `fitting`, `calibrate_cli`, `cli` and `report`. Needs no torch; scipy inside its functions.
"""
