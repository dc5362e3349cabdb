"""The journal of a run: files that grow while quanta run, for readers in other processes.

Runs on this machine and jobs of batch runs write the same records: one when a quantum is first seen running, and one
when it has ended.  `records` is the format, `sink` writes the journal of a run on this machine, and `reader` reads it.
"""
