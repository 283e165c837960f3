import { conf, VIRTUAL_SUBNET, VIRTUAL_SUBNET_6 } from "./cluster.ts";

/** IPv4 and IPv6, as virtual IPs and on the bridge; a hub that went away is noticed after a second. */
export const DUAL_STACK = conf({
  cniVersion: "1.0.0",
  vpn: { virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6], hostSubnet: ["10.9.0.0/24", "fd00:9::/64"], dpd: "1s" },
  ipam: { type: "host-local", ranges: [[{ subnet: "172.17.1.0/24" }], [{ subnet: "fd00:172:17:1::/64" }]] },
});
