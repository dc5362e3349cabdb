#!/bin/sh
# pilots: 2; written by pipetask
cd -- '/a run'"'"'s "folder" $HOME %A `x` \ é' || exit 75
index=${PBS_ARRAY_INDEX:-${PBS_ARRAYID:-0}}
node=$(sed -n "$((index + 1))p" pbs/round-002/array-3.nodes)
[ -n "$node" ] || exit 75
element=${PBS_JOBID%%[!0-9]*}_$index
exec >>"pbs/logs/$element.out" 2>>"pbs/logs/$element.err"
ln -sf "../pbs/logs/$element.out" "logs/$node.$element.out"
ln -sf "../pbs/logs/$element.err" "logs/$node.$element.err"
export A='it'"'"'s, $HOME'
export B='a  b'
tries=0  # a shared file system may show it late
until [ -e registry.ready ]; do
  [ ! -e registry.failed-002 ] && [ $tries -lt 10 ] ||
    { echo 'the first job has not made the registry ready: see logs/first.*' >&2; exit 75; }
  tries=$((tries + 1))
  sleep 2
done
PIPETASK_REQUESTED_MEMORY=4000
PIPETASK_WALLTIME_END=$(($(date +%s) + 60 * 90))
export PIPETASK_REQUESTED_MEMORY PIPETASK_WALLTIME_END
export PIPETASK_PILOT_JOB="${PBS_JOBID%%.*}"
exec run 'the image' '/opt/my python' -m pipetask.cli run-pilot '/a run'"'"'s "folder" $HOME %A `x` \ é' -j 4
