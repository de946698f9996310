"""Peers, as their users write them: textbook training, exporters, runtimes.

Studies and reports import them, or start them in processes of their own. `ours` is one among them.
"""
