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
  [ ! -e registry.failed-002 ] && [ $tries -lt 10 ] ||
    { echo 'the first job has not made the registry ready: see logs/first.*' >&2; exit 75; }
  tries=$((tries + 1))
  sleep 2
done
asked=slurm/asked/$element  # what it asks for, if that is no longer what its array does
memory=4000 minutes=90 own=0
[ ! -e "$asked" ] || read -r memory minutes own <"$asked"
[ $((${SLURM_RESTART_COUNT:-0} - own)) -le 20 ] || { touch "$asked.spent"; echo "Slurm has started this job again too often" >&2; exit 75; }
PIPETASK_WALLTIME_END=$(($(date +%s) + 60 * minutes))
export PIPETASK_WALLTIME_END
rm -f "$asked.not-started"
trap : TERM  # the program ends in order, and then this script goes on
run 'the image' '/opt/my python' -m pipetask.cli run-node '/a run'"'"'s "folder" $HOME %A `x` \ é' "$node" -j 4 --keep-failures-since 0
code=$?
trap '' TERM  # Slurm ends a job that is put back; what comes now is soon over
case $code in
76) case $memory in 4000) memory=8000 ;; 8000) memory=16000 ;; 16000) memory=32000 ;; 32000) memory=32768 ;; *) exit $code ;; esac ;;
78) case $minutes in 90) minutes=180 ;; 180) minutes=360 ;; 360) minutes=720 ;; 720) minutes=1440 ;; *) exit $code ;; esac ;;
79) ;;
1|126|127) touch "$asked.not-started"; exit $code ;;
*) exit $code ;;
esac
[ ! -e "$asked.refused" ] || exit $code
scontrol requeue "$element" || exit $code
scontrol update "jobid=$element" "MinMemoryNode=$memory" "TimeLimit=$minutes" || touch "$asked.refused"
echo "$memory $minutes $((own + 1))" >"$asked"
exit $code
