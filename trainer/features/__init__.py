"""Features that a frozen graph makes of an image, in place of its pixels."""
