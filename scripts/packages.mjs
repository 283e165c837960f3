// The Debian packages that podvpn uses, and what for: this is what the set-up tells whoever runs it.

/** For the demo and on a real node. */
export const runtimePackages = {
  "charon-systemd": "the IKE daemon of strongSwan, one for each pod",
  "strongswan-swanctl": "strongSwan's control interface VICI, and swanctl",
  "libcharon-extra-plugins": "ESP in user space (kernel-libipsec), for kernels without it",
  "libstrongswan-standard-plugins": "AES-GCM for strongSwan",
  "libstrongswan-extra-plugins": "X25519 for strongSwan",
  "wireguard-go": "WireGuard in user space, for kernels without it",
  "wireguard-tools": "wg, for a look at WireGuard devices that is not ours",
  "containernetworking-plugins": "the CNI plugins bridge and host-local, to which podvpn delegates",
  iproute2: "network namespaces, and a look at links and routes",
  nftables: "nft, with which a stock hub is prepared, and filters are looked at",
  iptables: "the bridge plugin's ipMasq",
  "iputils-ping": "the demo's ping matrix",
  procps: "sysctl in the demo's namespaces",
  tcpdump: "the proof: a capture of what went over the wire",
  "util-linux": "unshare, nsenter and flock",
};

/** For the tests and the bench alone. */
export const testPackages = {
  strace: "tests of what a plugin opens at its start",
  socat: "tests that send and receive packets",
  iperf3: "the bench's throughput",
  libfaketime: "a wrong clock for single programs",
};

/** For the tests with the programs that call plugins on real nodes. */
export const runtimesPackages = {
  podman: "podman with the CNI backend",
  crun: "the OCI runtime under both",
  containerd: "containerd with CRI",
  conmon: "the parent of podman's containers",
  "busybox-static": "all that is in the containers' image",
};

/** For the tests on an emulated machine. */
export const labPackages = {
  "qemu-system-x86": "the emulated machine",
  "busybox-static": "its first process",
  "xz-utils": "unpacks its kernel",
};

/** For the tests with Kubernetes. */
export const kubernetesPackages = {
  "etcd-server": "etcd, under the API server",
  containerd: "containerd, under the kubelet",
  "busybox-static": "all that is in the containers' image",
};
