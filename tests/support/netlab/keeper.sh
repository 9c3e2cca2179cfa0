#!/usr/bin/env bash
# Keeps the namespaces of one host alive: "unshare ... keeper.sh NAME HOSTS-FILE". Says "ready" once it can be entered.
# When standard input is closed, that is with the test run, however that ends, it ends all that runs in the host.
set -euo pipefail

if [[ /proc/self/ns/net -ef /proc/$PPID/ns/net || /proc/self/ns/mnt -ef /proc/$PPID/ns/mnt ]]; then
  echo "keeper.sh: not in namespaces of its own" >&2
  exit 1
fi
hostname "$1"
# Private are shared memory, /etc/hosts and /sys/class/net; all other files, the checkout and Python too, are this machine's.
mount -t tmpfs tmpfs /dev/shm
mkdir /dev/shm/cgroup
mount --rbind /sys/fs/cgroup /dev/shm/cgroup
mount -t sysfs sysfs /sys
mount --move /dev/shm/cgroup /sys/fs/cgroup
rmdir /dev/shm/cgroup
# Of a file system of its own, as nothing can be mounted over a file that has been removed.
mkdir /dev/shm/etc
mount -t tmpfs tmpfs /dev/shm/etc
printf '%s' "$2" >/dev/shm/etc/hosts
mount --bind /dev/shm/etc/hosts /etc/hosts
umount /dev/shm/etc
rmdir /dev/shm/etc
ip link set lo up
echo ready
cat >/dev/null

again=yes
while [[ $again ]]; do
  again=
  for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    [[ $pid != "$$" ]] || continue
    # Either will do: what has left one of the namespaces keeps the other one, and the host's mounts, from ending.
    if [[ $process/ns/net -ef /proc/self/ns/net || $process/ns/mnt -ef /proc/self/ns/mnt ]]; then
      kill -KILL "$pid" 2>/dev/null && again=yes
    fi
  done
done
