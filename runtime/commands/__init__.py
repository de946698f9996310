"""The runtime's commands, one module each: arguments come in, text or JSON and an exit status go out.

Only `kit.py` imports them. They import click, which no other module of the runtime does, and never torch.
"""
