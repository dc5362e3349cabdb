"""The sinks: progress, summary, report."""
