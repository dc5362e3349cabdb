"""Profiling and line coverage, for developers of tasks.

A profiler and a tracer see one process.  So each has two sides here: one in the process that executes a graph, which
combines all results, and a `workers.Recorder` that is sent to worker processes.
"""
