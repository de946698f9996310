"""A module a study: it takes data and a number of rounds, checks the answers that it timed, and yields tables.

They call the kit as its users do, and `core` its solvers. The commands beside this folder and `report` import them.
"""
