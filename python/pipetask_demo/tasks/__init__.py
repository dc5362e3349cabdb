"""The tasks of the demo, one module for each; the package docstring has the diagram."""
