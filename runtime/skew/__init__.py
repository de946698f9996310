"""Input skew."""
