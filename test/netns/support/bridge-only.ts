/** The reference bridge plugin alone, with a way out. */
export const BRIDGE_ONLY = {
  cniVersion: "1.0.0",
  name: "plain",
  type: "bridge",
  bridge: "cni1",
  isDefaultGateway: true,
  ipam: { type: "host-local", ranges: [[{ subnet: "172.18.1.0/24" }], [{ subnet: "fd00:172:18:1::/64" }]] },
};
