#!/bin/sh
# Stands in for Singularity, which Debian has not: runs a command as it is, without any container.
#
# So one sees what HTCondor makes of the request for an image, and nothing of what is inside an image.
set -eu
while [ $# -gt 0 ]; do
    case $1 in
        --version) echo "stand-in 1.0"; exit ;;
        test) exit ;;  # HTCondor tries each image
        --pwd) cd "$2"; shift 2 ;;
        -B | -S | -W) shift 2 ;;
        exec | -*) shift ;;
        *) break ;;
    esac
done
export SINGULARITY_CONTAINER="$1"
shift
case $1 in
    /exit_37) exit 37 ;;  # in the images with which HTCondor tries the program
    *) exec "$@" ;;
esac
