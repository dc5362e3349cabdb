"""Options: frozen dataclasses, one for each command, made of groups that the Python API takes as well.

Each option is declared only here: its type is the annotation of the field, its default is the default of the field,
and its flags and help text are metadata of the field (see `pipetask.options.declaration`).  The command line, its help,
completion, option files and the reference pages are made from these declarations.

Nothing in this package imports the butler, so that help and completion are fast.
"""
