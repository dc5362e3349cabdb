"""Run quanta in warm worker processes.

::

      stream of QuantumData                                        outcomes, as they end
            │                                                             ▲
            ▼                                                             │
    ┌────────────────┐   orders: bundles of tickets    ┌──────────────────┴───────────────────┐
    │    Frontier    │   tokens: one a quantum         │ worker 1: a Runner: butler and graph │
    │   PoolState    │ ──────────────────────────────► │           file stay open             │
    │                │ ◄────────────────────────────── ├──────────────────────────────────────┤
    │   Foreman      │   results: outcomes             │ worker 2 …                           │
    └────────────────┘   sentinel: it died             └──────────────────────────────────────┘

The **state** (`state.PoolState`) is a state machine that decides: who gets which quanta, what is taken back, who is
interrupted, killed or replaced.  It has no processes, pipes or waits.  Events go in as method calls; **instructions**
come out.  It takes ready quanta from the frontier and puts them in bundles: as many as fill a fifth of a second by what
quanta with the same label took so far, long ones alone.

The **foreman** has the pipes and the processes (in the calling process).  It follows the instructions: for a bundle it
sends a worker the tickets (what there is to do) and then a token for each quantum.  It blocks in one wait for results,
deaths, a stop request, and the next deadline, and tells the state what has happened.  Nothing polls.

A **worker** (`worker`) reads one token from its pipe, runs that quantum, writes the outcome, and reads the next token.
A token can be read only once, and its reader owns the quantum.  So when another worker has nothing to do, the foreman
reads tokens from a busy worker's pipe and takes work back, with no lock that a killed process could leave held.
Outcomes are written to a pipe at once, so that they outlive their worker; what was claimed and has no outcome when a
worker dies is what killed it.

After each quantum the worker puts back what the task has changed of the process.  If it cannot, it says so, and ends
itself after the outcome; the foreman replaces it.

A **server** (`server`) forks workers after it has imported what they need; a **launcher** is the foreman's view of it.

A **watch** thread in each worker waits for the foreman's death, and ends the worker and all that it started.
"""

from __future__ import annotations

from .executor import MultiprocessExecutor

__all__ = ["MultiprocessExecutor"]
