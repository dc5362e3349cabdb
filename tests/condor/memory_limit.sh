#!/bin/sh
# Runs a job; in a control group of its own that limits memory, where the job's environment names one to make it in.
#
# HTCondor does so itself, but only where it runs as root.  The limit is below what the slot has, so that the kernel is
# there before the pool's own policy.
set -eu
if [ -n "${MEMORY_GROUP:-}" ]; then
    group=$MEMORY_GROUP/$$
    megabytes=$(sed -n 's/^Memory = //p' "$_CONDOR_MACHINE_AD")
    mkdir "$group"
    echo $((megabytes * 9 / 10))M > "$group/memory.limit_in_bytes"
    echo 0 > "$group/cgroup.procs"
fi
exec "$@"
