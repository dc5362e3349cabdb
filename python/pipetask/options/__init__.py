"""What can be asked for: frozen dataclasses, one for each command, made of groups that the Python API takes as well.

Each option is declared here and nowhere else: its type is the field's annotation, its default the field's default, its
flags and its help text are metadata of the field (see `pipetask.options.declaration`).  The command line, its help,
completion, options files and the reference pages are made from these declarations.

Nothing in this package imports the butler, so that help and completion are quick.
"""
