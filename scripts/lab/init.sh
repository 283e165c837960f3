#!/bin/busybox sh
# Process 1 in the initramfs: makes the host's root the guest's, read-only below a layer in memory, and goes there.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules/first); do insmod "/modules/$module" || echo "insmod $module: $?"; done
set -e
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro host /host
mount -t overlay -o lowerdir=/host,upperdir=/upper,workdir=/work overlay /root
for directory in proc sys dev; do mount --move "/$directory" "/root/$directory"; done
mount -t tmpfs -o mode=755 tmpfs /root/run
mkdir -p /root/lab
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 lab /root/lab
set +e
for module in $(cat /modules/soon); do insmod "/modules/$module" || echo "insmod $module: $?"; done
# Not switch_root, which would remove what is in memory for the new root.
cd /root
mount --move . /
exec chroot . /bin/bash --norc --noprofile /lab/guest.sh
