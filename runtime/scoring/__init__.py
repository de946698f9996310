"""Scoring many images: files, folders, globs and Parquet come in, a folder of predictions in Parquet goes out.

`score` is the whole of it: `inputs` finds the images and divides them into chunks, an engine (`local`, `on_ray`) lets
`scorer` score the chunks in many processes, and `output` writes the predictions. Only `kit classify` imports it.
"""
