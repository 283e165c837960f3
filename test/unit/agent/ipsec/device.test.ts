import { describe, expect, test } from "vitest";
import { deviceAddresses, tunDevice } from "../../../../src/agent/ipsec/device.ts";
import { localPorts } from "../../../../src/agent/ipsec/ports.ts";
import { address, prefix } from "../support.ts";

const OWN = [address("10.101.1.1"), address("fd00:101:1::1")];
const LOCAL = [prefix("10.101.1.0/24"), prefix("fd00:101:1::/64")];
const OTHERS = [prefix("10.101.8.0/24"), prefix("fd00:101:8::/64")];

describe("the addresses of the device", () => {
  test("are the node's own in the mesh", () => {
    const expected = [
      { address: "10.101.1.1", prefixLength: 32 },
      { address: "fd00:101:1::1", prefixLength: 128 },
    ];
    expect(deviceAddresses("kernel", OWN, [...LOCAL, ...OTHERS])).toEqual(expected);
    expect(deviceAddresses("userspace", OWN, LOCAL)).toEqual(expected);
  });

  test("with libipsec also the network's own of each prefix without one: it installs nothing else", () => {
    const found = deviceAddresses("userspace", OWN, [...LOCAL, ...OTHERS, ...OTHERS]);
    expect(found.slice(2)).toEqual([
      { address: "10.101.8.0", prefixLength: 32 },
      { address: "fd00:101:8::", prefixLength: 128 },
    ]);
  });

  test("never one that a pod may have: a prefix of one or two addresses has none to spare", () => {
    expect(deviceAddresses("userspace", OWN, [prefix("10.101.8.4/31"), prefix("10.101.8.9/32")]).length).toBe(2);
  });
});

test("a process without a TUN device has none", () => {
  expect(tunDevice(process.pid)).toBeUndefined();
});

test("local ports are read from the kernel's table of sockets", () => {
  const table = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  421: 00000000:01F4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 26391884 2 0 0
  900: 0100007F:1194 0200007F:01F4 07 00000000:00000000 00:00000000 00000000     0        0 26391885 2 0 0
`;
  expect(localPorts(table)).toEqual([500, 4500]);
  expect(localPorts("")).toEqual([]);
});
