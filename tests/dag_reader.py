"""Reads a DAG's text back, as DAGMan's manual says that it is to be read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class ReadDag:
    """What a DAG says."""

    jobs: dict[str, str] = field(default_factory=dict)
    """Submit file by node."""

    no_jobs: set[str] = field(default_factory=set)
    final: str | None = None
    edges: set[tuple[str, str]] = field(default_factory=set)
    variables: list[tuple[str, str, str]] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def read_dag(text: str) -> ReadDag:
    dag = ReadDag()
    for line in text.split("\n"):
        words = line.split()
        match words:
            case [] | ["#", *_]:
                pass
            case ["JOB", name, description, *more]:
                assert name not in dag.jobs, name
                dag.jobs[name] = description
                if more == ["NOOP"]:
                    dag.no_jobs.add(name)
            case ["FINAL", name, description]:
                dag.final = name
                dag.jobs[name] = description
            case ["PARENT", *names]:
                middle = names.index("CHILD")
                dag.edges |= {(a, b) for a in names[:middle] for b in names[middle + 1 :]}
            case ["VARS", name, *_]:
                key, value = re.fullmatch(r'VARS \S+ (\w+)="(.*)"', line).groups()
                dag.variables.append((name, key, re.sub(r"\\(.)", r"\1", value)))
            case ["SET_JOB_ATTR", name, "=", *_]:
                dag.attributes[name] = line.partition("=")[2].strip()
            case _:
                dag.others.append(line)
    return dag


def without_joins(dag: ReadDag) -> set[tuple[str, str]]:
    """Return the edges between nodes that have jobs."""
    edges = {edge for edge in dag.edges if not dag.no_jobs & set(edge)}
    for join in dag.no_jobs:
        parents = {a for a, b in dag.edges if b == join}
        children = {b for a, b in dag.edges if a == join}
        edges |= {(a, b) for a in parents for b in children}
    return edges


def split_words(value: str) -> list[str]:
    """Take apart the new syntax of ``arguments`` and ``environment``, macros expanded."""
    assert value[0] == value[-1] == '"'
    text = value[1:-1].replace('""', "\0")
    words, word, quoted, begun = [], "", False, False
    index = 0
    while index < len(text):
        character = text[index]
        if character == "'" and quoted and text[index + 1 : index + 2] == "'":
            word, index = word + "'", index + 1
        elif character == "'":
            quoted, begun = not quoted, True
        elif character in " \t" and not quoted:
            if begun:
                words.append(word)
            word, begun = "", False
        else:
            assert character != '"', "a double quote has to be doubled"
            word, begun = word + character, True
        index += 1
    return [each.replace("\0", '"') for each in (*words, *([word] if begun else []))]
