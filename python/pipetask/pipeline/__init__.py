"""Pipelines: build one from a file and edits; show, draw and write it."""
