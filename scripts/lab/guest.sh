# Process 1 of the guest, in bash: makes a machine of it, and then does what it is told by the host.
# What it writes itself goes to the console, with the kernel's words; what a job writes goes through the port.
. /lab/settings # ROOT, MODULES, SLOWNESS
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/home LANG=C.UTF-8
mkdir -p /run/lock /run/home /dev/pts /dev/shm /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sfn "$MODULES" "/lib/modules/${MODULES##*/}"
[ -e /sbin/modprobe ] || ln -s /bin/busybox /sbin/modprobe
ip link set lo up
echo lab >/proc/sys/kernel/hostname
export PODVPN_TEST_SLOWNESS=$SLOWNESS PATH=$ROOT/node_modules/.bin:$PATH

# Lines that begin with \001 are ours, whatever the job has written before them.
work() {
  printf '\n\001begin %s\n' "$1"
  (cd "$ROOT" && exec bash --norc --noprofile "/lab/$1/job.sh")
  printf '\n\001end %s %s\n' "$1" $?
}

# A job whose asker has gone, or asks for another, ends with all that it started.
abandon() {
  [ -n "$job" ] && kill -KILL -- "-$job" 2>/dev/null
  job=
}

for name in /sys/class/virtio-ports/*/name; do
  read -r found <"$name"
  [ "$found" = podvpn.jobs ] && port=${name%/name}
done
exec 3<>"/dev/${port##*/}"
set -m # a process group for each job
job=
read -r uptime rest </proc/uptime
echo "ready for jobs after $uptime s"
while :; do
  if read -r -t 1 name <&3; then
    abandon
    work "$name" </dev/null >&3 2>&1 &
    job=$!
  elif [ $? -le 128 ]; then # end of file: nobody is connected; else nothing came for a second
    abandon
    sleep 0.1
  fi
done
