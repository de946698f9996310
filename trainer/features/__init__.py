"""Features: a frozen graph's output for each image, which the regression is fitted to in place of pixels.

`load_features` is what others call. `kinds` lists the features that have a name; the module of each has `graph(asked)`,
which makes the graph. `extraction` computes the features of images by onnxruntime.
"""
