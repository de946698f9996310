"""Other people's way of doing the same, as their users write it: textbook training, exporters, openers.

Studies and reports import them, or start them in processes of their own. `ours` is one among them.
"""
