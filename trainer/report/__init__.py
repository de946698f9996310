"""A run's folder: a fit goes in; checkpoint, history.csv, report.json, MODEL_CARD.md and plots come out.

Each module imports only what it draws or counts with: matplotlib is loaded by `plots` alone. Imported by `trainer.cli`.
"""
