import type { Deviation } from "../support/profile.ts";

type Deviations = Readonly<Record<string, Deviation>>;

/** Of libcni's skeleton, in which all reference plugins are written. */
export const OF_LIBCNI: Deviations = {
  "version/echo": {
    why: "libcni answers VERSION in its own newest version",
    says: /^VERSION in 0\.1\.0: cniVersion is "1\.[01]\.0"/,
  },
  "parameters/container-id-illegal": {
    why: "libcni says only `invalid characters in containerID`",
    says: /should name CNI_CONTAINERID.*\n.*\n.*invalid characters in containerID/,
  },
  "error/version": {
    why: "libcni prints errors without cniVersion",
    says: /cniVersion of the error is absent/,
  },
};

/** As libcni, but only for a plugin that delegates nothing: the others do need CNI_PATH. */
export const OF_LIBCNI_SOLE: Deviations = {
  ...OF_LIBCNI,
  "parameters/path-optional": {
    why: "libcni asks for CNI_PATH always",
    says: /required env variables \[CNI_PATH\] missing/,
  },
};

/** Its rules are found only by the addresses in the namespace, and two interfaces of a container share a chain. */
const MASQUERADE_STAYS: Deviation = {
  why: "the bridge plugin leaves its NAT chain behind when it cannot look into the namespace",
  says: /^after [^:]+ there is still: (\+ nftables: table ip6? nat \/ chain (CNI-|POSTROUTING.* jump CNI-)[^;]*(; |$))+$/,
};

const OF_BRIDGE: Deviations = {
  ...OF_LIBCNI,
  "add/second-interface": {
    why: "the bridge plugin has one NAT chain for all interfaces of a container",
    says: /CHAIN_DEL failed \(Device or resource busy\)/,
  },
  "del/interface-missing": MASQUERADE_STAYS,
  "del/netns-gone": MASQUERADE_STAYS,
  "del/netns-unset": MASQUERADE_STAYS,
  "delegation/add-fails-del": {
    why: "the bridge plugin takes an IPAM that failed for one that has reserved nothing",
    says: /^the calls of host-local is \["ADD"\], and should be \["ADD","DEL"\]$/,
  },
};

/** Of Debian's bridge. */
export const OF_BRIDGE_111: Deviations = OF_BRIDGE;

/** The addresses are host-local's, whose STATUS does not count them. */
const NOT_COUNTED: Deviation = {
  why: "host-local's STATUS does not look whether an address is left",
  says: /should fail.* STATUS when all addresses are given: exit status 0/,
};

/** Of the current bridge: its GC is an empty function. */
export const OF_BRIDGE_191: Deviations = {
  ...OF_BRIDGE,
  "status/exhausted": NOT_COUNTED,
  "gc/stale": {
    why: "GC of the bridge plugin does nothing",
    says: /^after GC there is still: \+ files: \/var\/lib\/cni\/networks\/podnet\//,
  },
  "gc/delegates": { why: "GC of the bridge plugin does nothing", says: /^host-local should get GC$/ },
  "gc/goes-on": { why: "GC of the bridge plugin does nothing", says: /should fail.* GC: exit status 0/ },
};

/** Of both plugins of podvpn, by design. */
const OF_PODVPN: Deviations = {
  "add/second-interface": {
    why: "two tunnels of one container for the same prefixes would take them from each other: podvpn refuses the second",
    says: /"code":7,.*give each network of a container/,
  },
  "errors/codes": {
    why: "a CNI_NETNS that is no namespace gives libcni's code 8, which the specification's table does not have",
    says: /^code 8 is reserved.*CNI_NETNS/,
  },
};

const OF_PODVPN_SINGLE: Deviations = {
  ...OF_PODVPN,
  "status/exhausted": NOT_COUNTED,
  "delegation/complete-configuration": {
    why: "the bridge gets neither podvpn's own keys, which hold secrets, nor ipMasq, which podvpn does itself",
    says: /^the configuration of ADD of bridge is .*"ipMasq":false/,
  },
};

/** Of `strongswan` with user-space ESP. */
const OF_LIBIPSEC: Deviations = {
  "result/all-interfaces": {
    why: "charon's TUN device has no hardware address, without which runtimes refuse an interface in a sandbox",
    says: /is \["ipsec0"\], and should be \[\]$/,
  },
  "del/undoes": {
    why: "the guard stays in the namespace: what else is in it must not carry the virtual subnet in plain",
    says: /^after DEL there is still: (\+ pod [^ :]+: (IPv[46] (routes|rules): .*blackhole.*? proto 173|nftables: table inet podvpn-eth0)[^+]*)+$/,
  },
};

export const OF_STRONGSWAN: Deviations = { ...OF_PODVPN_SINGLE, ...OF_LIBIPSEC };
export const OF_STRONGSWAN_CHAINED: Deviations = { ...OF_PODVPN, ...OF_LIBIPSEC };
export const OF_WIREGUARD: Deviations = OF_PODVPN_SINGLE;
export const OF_WIREGUARD_CHAINED: Deviations = OF_PODVPN;
