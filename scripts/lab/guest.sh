# Process 1 of the guest: makes a machine of it, and then does what it is told by the host.
# Written to the console, which is the kernel's and ours; what a job writes goes through the port instead.
. /lab/settings # ROOT, MODULES, SLOWNESS
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/home LANG=C.UTF-8
release=$(uname -r)
mkdir -p /run/lock /run/home /dev/pts /dev/shm /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sfn "$MODULES" "/lib/modules/$release"
[ -e /sbin/modprobe ] || ln -s /bin/busybox /sbin/modprobe
ip link set lo up
hostname lab

port=/dev/$(grep -l '^podvpn.jobs$' /sys/class/virtio-ports/*/name | cut -d/ -f5)
exec 3<>"$port"
export PODVPN_TEST_SLOWNESS=$SLOWNESS PATH=$ROOT/node_modules/.bin:$PATH
echo "ready for jobs after $(cut -d' ' -f1 /proc/uptime) s"
while :; do
  # End of file while nobody is connected.
  read -r job <&3 || { sleep 0.1; continue; }
  # Lines that begin so are ours, whatever a job has written before them.
  printf '\n\001begin %s\n' "$job" >&3
  (cd "$ROOT" && exec bash --norc --noprofile "/lab/$job/job.sh") </dev/null >&3 2>&1
  printf '\n\001end %s %s\n' "$job" $? >&3
done
