"""LiteRT's file format: a graph of operators as a flatbuffer, and the labels where LiteRT's own tools look for them.

Imported by `formats`.
"""
