#!/bin/sh
# pilots: 2; written by pipetask
cd -- '/a run'"'"'s "folder" $HOME %A `x` \ é' || exit 75
tries=0  # until all of the round is in the queue
until [ -e pjm/round-002/released ]; do
  [ $tries -lt 600 ] || { echo 'the submission was interrupted: pipetask restart' >&2; exit 75; }
  tries=$((tries + 1))
  sleep 1
done
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
exec run 'the image' '/opt/my python' -m pipetask.batch.pjm.node_list '/a run'"'"'s "folder" $HOME %A `x` \ é' pjm/round-002/array-3.nodes pjm/logs/round-002-array-3.begun 2-3 1 4 0
