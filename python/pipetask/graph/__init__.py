"""Quantum graphs: their structure, the order of their quanta, and the files that hold them."""
