"""The configuration of a Slurm for tests."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["MachineOptions", "write_configuration"]

PORTS = range(20_000, 30_000)
"""Below those that the kernel gives to connections."""

DEFAULTS = {
    "ClusterName": "test",
    "SlurmUser": "root",
    "SlurmdUser": "root",
    # Nothing here is secret, so no daemon has to guard it.
    "AuthType": "auth/none",
    "CredType": "cred/none",
    # How long a requeued job waits; 5 is the least, and 120 the default.
    "AuthInfo": "cred_expire=5",
    # More slots than this machine has processors.
    "SlurmdParameters": "config_overrides",
    "ProctrackType": "proctrack/linuxproc",
    "TaskPlugin": "task/none",
    "SwitchType": "switch/none",
    "MpiDefault": "none",
    "JobAcctGatherType": "jobacct_gather/linux",
    "JobAcctGatherFrequency": "1",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_CPU_Memory",
    "DefMemPerCPU": "100",
    "SchedulerParameters": "sched_interval=1,bf_interval=1,batch_sched_delay=0",
    "MinJobAge": "300",
    "KillWait": "5",
    "SlurmdTimeout": "15",
    "SlurmctldTimeout": "10",
    "MessageTimeout": "10",
    "TCPTimeout": "2",
    "ReturnToService": "2",
    "PreemptType": "preempt/partition_prio",
    "PreemptMode": "REQUEUE",
    "AccountingStorageType": "accounting_storage/none",
    "JobCompType": "jobcomp/none",
    "MailProg": "/bin/true",
}


@dataclass(frozen=True)
class MachineOptions:
    """What a Slurm for tests offers.

    Parameters
    ----------
    nodes
        Number of compute nodes.
    slots, memory
        How many CPUs each says it has, and how much memory in MB.
    settings
        More keys of ``slurm.conf``, or others than by default.
    """

    nodes: int = 1
    slots: int = 4
    memory: int = 8000
    settings: Mapping[str, str] = field(default_factory=dict)


def write_configuration(folder: Path, options: MachineOptions) -> Path:
    """Write ``slurm.conf`` into a folder, and make the folders that daemons need."""
    for name in ("log", "run", "state"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    port, *ports = _free_ports(1 + options.nodes)
    files = {
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": str(port),
        "StateSaveLocation": f"{folder}/state",
        "SlurmdSpoolDir": f"{folder}/spool-%n",
        "SlurmctldPidFile": f"{folder}/run/slurmctld.pid",
        "SlurmdPidFile": f"{folder}/run/%n.pid",
        "SlurmctldLogFile": f"{folder}/log/slurmctld.log",
        "SlurmdLogFile": f"{folder}/log/%n.log",
    }
    lines = [f"{key}={value}" for key, value in {**DEFAULTS, **files, **options.settings}.items()]
    offer = f"CPUs={options.slots} RealMemory={options.memory} State=UNKNOWN"
    for number, each in enumerate(ports, start=1):
        (folder / f"spool-n{number}").mkdir()
        lines.append(f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={each} {offer}")
    lines.append("PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP")
    # Its jobs push those of the other one out.
    lines.append("PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP")
    path = folder / "slurm.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def _free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.sample(PORTS, len(PORTS)):
            if len(found) == count:
                break
            listener = stack.enter_context(socket.socket())
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found
