#!/bin/sh
# Makes the file system that a pool sees: world.sh ROOT STATE UID GID SHARED PATH...
#
# Runs as root, as PID 1 of namespaces of its own.  ROOT becomes "/", STATE and each PATH are seen at the same path as
# outside, where PATHs can only be read.
set -eu
umask 022
root=$1 state=$2 uid=$3 gid=$4 shared=$5
shift 5

mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for path in "$@"; do
    mkdir -p "$root$path"
    mount -o bind,ro "$path" "$root$path"
done
if [ -d /sys/fs/cgroup ]; then
    mkdir -p "$root/sys/fs/cgroup"
    mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
fi
mkdir -p "$root$state"
mount --bind "$state" "$root$state"
hostname pool

machines=$(realpath "$(dirname "$0")")/machines.sh
cd "$root"
exec chroot "$root" sh "$machines" "$state" "$uid" "$gid" "$shared"
