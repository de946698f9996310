"""The names of the files in a run's folder."""

HISTORY, REPORT, CARD = "history.csv", "report.json", "MODEL_CARD.md"
CONFUSION, PREDICTIONS = "confusion.csv", "predictions.csv"
COMMAND = "train.toml"  # the options that repeat the run
UNFINISHED = "unfinished"  # the folder of a fit beside an earlier model
PAGE = "report.html"
PLOTS = ("curves.png", "confusion.png", "probabilities.png", "weights.png", "mistakes.png")
