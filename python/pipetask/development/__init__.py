"""What developers of tasks look at: where the time goes, and which lines are run.

A profiler and a tracer see one process.  So each has two sides here: one in the process that executes a graph, which
brings everything together, and a `workers.Recorder` that worker processes carry with them.
"""
