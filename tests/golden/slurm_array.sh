#!/bin/sh
# isr+co\nadd, level 1, column 2: nodes 2; written by pipetask
cd -- '/a run'"'"'s "folder" $HOME %A `x` \ é' || exit 75
node=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" slurm/round-002/array-3.nodes)
[ -n "$node" ] || exit 75
element=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
ln -sf "../slurm/logs/$element.out" "logs/$node.$element.out"
ln -sf "../slurm/logs/$element.err" "logs/$node.$element.err"
tries=0  # a shared file system may show it late
until [ -e registry.ready ]; do
  [ $tries -lt 10 ] || { echo 'the first job has not made the registry ready: see logs/first.*' >&2; exit 75; }
  tries=$((tries + 1))
  sleep 2
done
exec run 'the image' '/opt/my python' -m pipetask.cli run-node '/a run'"'"'s "folder" $HOME %A `x` \ é' "$node" -j 4
