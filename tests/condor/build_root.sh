#!/bin/sh
# Makes a Debian 13 with HTCondor: build_root.sh FOLDER UID GID writes it to FOLDER/root.
#
# To be run as root, in mount and PID namespaces of its own: mounts and processes end with them.
# Whoever changes this file changes the name under which the result is cached (see root.py).
set -eu
umask 022
cd "$1"
root=$1/root
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

# wget, which debootstrap uses, does not know what apt is told about proxies.
eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
[ -z "${http_proxy:-}" ] || export http_proxy

# Only unpacked, so that the host stays as it is.
if ! apt-get --quiet download debootstrap; then
    apt-get --quiet update || :  # somebody else's repository may be out of reach
    apt-get --quiet download debootstrap
fi
dpkg-deb --extract debootstrap_*.deb debootstrap

# The mirror that this machine has its own packages from.
targets="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main')"
mirror=$(echo "$targets" | head -n 1)
DEBOOTSTRAP_DIR=$PWD/debootstrap/usr/share/debootstrap sh debootstrap/usr/sbin/debootstrap \
    --variant=minbase --include=ca-certificates --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    trixie "$root" "${mirror:-http://deb.debian.org/debian}"

cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"  # packages start no daemons
chmod 755 "$root/usr/sbin/policy-rc.d"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"

# The daemons and the tools that world.sh and the tests use; then what the host's Python is linked with.
chroot "$root" apt-get --quiet update
chroot "$root" apt-get --quiet --yes --no-install-recommends -o Acquire::Retries=3 install \
    condor iproute2 procps \
    libbz2-1.0 libexpat1 libffi8 liblzma5 libncursesw6 libreadline8t64 libsqlite3-0 libssl3t64 libuuid1 zlib1g
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/*

chroot "$root" groupadd --gid "$3" observer
chroot "$root" useradd --uid "$2" --gid "$3" --no-create-home --home-dir /nonexistent observer
chmod 755 "$root/root"  # an interpreter may live below it
printf '127.0.0.1 localhost pool\n' > "$root/etc/hosts"
