"""Runs that outlive the command: what every batch system needs, whatever it is.

::

    stream of QuantumData                                                          registry
            │                                                                         ▲
            ▼                                                                         │
       bundling ──► nodes ──► run directory ──► batch system ──► node ──► outcomes ──► replay
                    joins     index, recipe                    (a job)    files

**Bundling** packs quanta into nodes, **joins** writes their edges briefly.  The **run directory** has all that jobs
need: the **index** says which quanta a node runs, the recipe how.  A job looks **upstream** for what its quanta need,
runs one **node**, and appends to a file of **outcomes**.  At the end **replay**, an execution model like any other,
hands these outcomes to a `QuantumGraphExecutor`, which registers outputs and writes the summary as for any run.
**Status** counts quanta by label and state.

A model for a batch system writes what that system reads, submits it, and tells the states of nodes.
"""
