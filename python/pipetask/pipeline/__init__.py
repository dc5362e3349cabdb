"""Pipelines: putting one together from a file and edits of it, and showing, drawing and writing it."""
