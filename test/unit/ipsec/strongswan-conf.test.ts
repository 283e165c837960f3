import { describe, expect, test } from "vitest";
import { NODE_SETTINGS, POD_SETTINGS, pluginList, strongswanConf } from "../../../src/ipsec/strongswan-conf.ts";

const OPTIONS = {
  directory: "/run/podvpn/pods/c1+eth0",
  dataPlane: "userspace",
  logLevel: 1,
  settings: POD_SETTINGS,
} as const;

describe("a charon's configuration", () => {
  test("loads user-space ESP before netlink, and only where it is wanted", () => {
    expect(pluginList("userspace")).toMatch(/kernel-libipsec kernel-netlink/);
    expect(pluginList("kernel")).not.toContain("libipsec");
  });

  test("keeps socket and log in its own directory", () => {
    const text = strongswanConf(OPTIONS);
    expect(text).toContain("socket = unix:///run/podvpn/pods/c1+eth0/vici\n");
    expect(text).toContain("path = /run/podvpn/pods/c1+eth0/charon.log\n");
  });

  test("has the 12 threads without which VICI dies beside libipsec, and random ports", () => {
    expect(strongswanConf(OPTIONS)).toMatch(/threads = 12\n +port = 0\n +port_nat_t = 0\n/);
  });

  test("sets the MTU of routes only when told", () => {
    expect(strongswanConf(OPTIONS)).not.toContain("mtu");
    expect(strongswanConf({ ...OPTIONS, routeMtu: 1320 })).toMatch(/kernel-netlink \{\n +mtu = 1320\n/);
  });

  test("of the node leaves addresses, routes and rules to podvpn, and takes no notice of links that come and go", () => {
    const text = strongswanConf({ ...OPTIONS, dataPlane: "kernel", noRoaming: true, settings: NODE_SETTINGS });
    for (const line of ["install_virtual_ip = no", "install_routes = no", "routing_table = 0", "threads = 16"]) {
      expect(text).toContain(`${line}\n`);
    }
    expect(text).toMatch(/kernel-netlink \{\n +roam_events = no\n/);
  });

  test("logs errors only of what is to be quiet", () => {
    const text = strongswanConf({ ...OPTIONS, quiet: ["net", "enc"] });
    expect(text).toMatch(/default = 1\n +net = 0\n +enc = 0\n/);
  });

  test("of a pod gives up a hub that is gone within 4 seconds, and hardly ever one that lives behind a lossy link", () => {
    const { retransmit_timeout: timeout, retransmit_base: base, retransmit_tries: tries } = POD_SETTINGS;
    const waits = Array.from({ length: Number(tries) + 1 }, (_, index) => Number(timeout) * Number(base) ** index);
    expect(waits.reduce((sum, wait) => sum + wait, 0)).toBeLessThan(4);
    // 20 % lost in each direction: question and answer both arrive in 64 of 100 times.
    expect((1 - 0.8 * 0.8) ** waits.length).toBeLessThan(0.0002);
  });

  test("closes every brace that it opens", () => {
    const text = strongswanConf({ ...OPTIONS, routeMtu: 1320 });
    expect(text.match(/\{/g)?.length).toBe(text.match(/\}/g)?.length);
  });
});
