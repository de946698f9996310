"""Many images scored."""
