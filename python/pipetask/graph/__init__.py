"""Quantum graphs: structure, order of quanta, and files."""
