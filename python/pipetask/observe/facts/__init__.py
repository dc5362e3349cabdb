"""What a run did, as numbers: columns with a row for each attempt, and what follows from them and from the graph.

`run.RunFacts` is the entry.  Everything is computed from the summary at the end, or from the outcomes that there are
so far, so that nothing is added to what a quantum costs while the run goes on.
"""
