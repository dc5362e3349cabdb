"""Runs that outlive the command: what every batch system needs, whatever it is.

::

    stream of QuantumData                                                          registry
            │                                                                         ▲
            ▼                                                                         │
       bundling ──► nodes ──► run directory ──► batch system ──► node ──► outcomes ──► replay
                    joins     index, recipe                    (a job)    files

**Bundling** packs quanta into nodes, **joins** writes their edges briefly.  The **run directory** has all that jobs
need: the **index** says which quanta a node runs, the recipe how.  A job looks **upstream** for what its quanta need,
runs one **node**, and appends to a file of **outcomes**.  The **ledger** says which quanta are done, failed, blocked
or lost.  At the end **replay**, an execution model like any other, hands these outcomes to a `QuantumGraphExecutor`,
which registers outputs and writes the summary as for any run.  **Status** counts quanta by label and state.

A batch **system** writes what it needs to run the nodes, submits that, and tells the states of nodes.  **executor** is
the execution model for all of them, **watch** looks at a run of any of them; both know only the contract in `system`.
"""
