"""A campaign of faults: runs of the command that are disturbed on purpose, and what must hold after each.

A **seed** is a number from which everything about one disturbed run follows (`scenario`): the fault, the moment, the
graph (`shapes`), the execution model (`models`).  `harness` lets a fault happen, repeats the command, and asks `checks`
what is wrong.  The faults are a table (`faults`), made of a few mechanisms (`signals`, `disturbances`, `damage`); tasks
that misbehave on order are in `tasks`, and `shim` lets operations of the file system go wrong.  A **workshop** is a
process that has imported everything and runs one seed after the other; the commands are its forks (`command`).

``python -m campaign 0-59`` runs seeds; ``make campaign SEEDS=0-59`` does so in the right environment.
"""
