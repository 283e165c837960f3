import { expect, test } from "vitest";
import { leftOf } from "../../../plugins/strongswan/leave-no-esp.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";

const address = (text: string) => parseAddress(text) ?? expect.fail(text);
const prefix = (text: string) => parsePrefix(text) ?? expect.fail(text);

const KNOWN = {
  ifname: "eth0",
  virtualIPs: [address("10.173.0.1")],
  linkResult: {
    cniVersion: "1.0.0",
    interfaces: [{ name: "eth0", sandbox: "/run/netns/a" }],
    ips: [{ address: "172.17.1.2/24", interface: 0 }],
    routes: [],
    dns: {},
  },
};
const policy = (src: string, dst: string, templates = 1) => ({ src: prefix(src), dst: prefix(dst), templates });
const state = (src: string, dst: string) => ({ src: address(src), dst: address(dst) });

test("an attachment's policies are those of its virtual IPs that lead through ESP: the guard's are not", () => {
  const [out, incoming] = [policy("10.173.0.1/32", "10.173.0.0/16"), policy("10.173.0.0/16", "10.173.0.1/32")];
  const guard = policy("0.0.0.0/0", "10.173.0.0/16", 0);
  const other = policy("10.174.0.9/32", "10.174.0.0/16");
  const policies = [out, guard, incoming, other, { ...out, templates: 0 }];
  expect(leftOf(KNOWN, { policies, states: [] }).policies).toEqual([out, incoming]);
});

test("an attachment's SAs are those of its address on the link, in both directions", () => {
  const [out, incoming] = [state("172.17.1.2", "10.9.0.254"), state("10.9.0.254", "172.17.1.2")];
  const states = [out, state("172.18.1.2", "10.9.0.253"), incoming];
  expect(leftOf(KNOWN, { policies: [], states }).states).toEqual([out, incoming]);
  const { linkResult: _, ...unlinked } = KNOWN;
  expect(leftOf(unlinked, { policies: [], states }).states).toEqual([]);
});
