"""One model for each command: all of its options, in the groups of its help.

The docstring of a model is the first paragraph of the help.  Each module has the commands that the help shows together,
so that a command imports the models of few others.
"""
