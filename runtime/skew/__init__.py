"""Input skew: images of the model's size come in, a line for each likely cause goes out.

`measures` compares images with the training images' statistics in the artefact; `first_images` does so for the first
images of a classifier and warns. The classifier, scoring and the command line import them; `export` takes the measures
to calibrate their limits.
"""
