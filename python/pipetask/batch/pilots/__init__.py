"""Pilots: long jobs that take nodes from the run directory, one after the other.

They are for sites that allow few jobs, or whose batch system has no dependencies between arrays.  Nothing here knows a
batch system: a pilot is a command, and a system has only to run some of them, and the final node after all.

::

    pilots/round-001/
        nodes.json        what there is to run, and what each node needs
        ready/N.G         node N may be taken        ◄── the pilot that ended the last node that N needs
        claims/N.G        node N is taken            ◄── created by one pilot only (O_EXCL), and never removed
        over/N            node N has ended           ◄── its pilot
        members/…         one file for each pilot, which it renames: that it lives, and what it runs
        about/…           where a pilot runs, and what it has
        ended             all nodes have ended, and one pilot has removed those that waited in the queue
    pilots/leave/         requests that some pilot leaves

G is the generation, which grows by one whenever a node is given back or taken over.  So a pilot has lost its claim if
there is one of the next generation, and of all who want to take over only one creates it.  A pilot is believed dead if
the name of its file has not changed for a while by the observer's own clock: clocks of two hosts are never compared.

`agenda` decides what a pilot does next, from `marks` (the files of nodes) and `members` (those of pilots).  `pilot` is
the job: it shows that it lives, and has a warm process (`worker`) run the nodes.  `places` writes a round, `following`
finds what is left for another one, and `look` tells what a person wants to know.

A pilot does not look at all nodes.  The one that ends a node looks at those that need it, so what a node costs does not
grow with the run, and little with the number of pilots.
"""

from __future__ import annotations
