#!/bin/sh
# Starts the two machines of a pool: machines.sh STATE UID GID SHARED, inside the root that world.sh has made.
#
# The standard input is a pipe.  When its other end is closed, this ends, and because it is PID 1 the kernel
# ends every process of the pool with it.
set -eu
state=$1 uid=$2 gid=$3 shared=$4

cd /
ip link set lo up

master() {
    exec env -i PATH="$PATH" CONDOR_CONFIG="$state/$1/condor_config" \
        setpriv --reuid="$uid" --regid="$gid" --clear-groups condor_master -f
}

exec 3<&0
master access &
if [ "$shared" = yes ]; then
    master execute &
else
    # Mounts of its own, in which nothing is where the others have their shared folder.
    unshare --mount --propagation unchanged sh -euc '
        mount -t tmpfs -o ro tmpfs "$1/work"
        CONDOR_CONFIG=$1/execute/condor_config exec setpriv --reuid="$2" --regid="$3" --clear-groups condor_master -f
    ' sh "$state" "$uid" "$gid" &
fi

# A shell that waits also collects the orphans of the pool.
cat <&3 > /dev/null &
wait $!
