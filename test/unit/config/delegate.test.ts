import fc from "fast-check";
import { expect, test } from "vitest";
import { delegateConfig } from "../../../src/config/delegate.ts";
import { withVpn } from "./support.ts";

test("the bridge gets its own keys as they are, and none of ours", () => {
  const raw = withVpn({}, { cniVersion: "1.0.0", logFile: "/log", logLevel: "debug", vlan: 7, nobodys: [{ a: null }] });
  expect(delegateConfig(raw)).toEqual({
    cniVersion: "1.0.0",
    name: "podvpn",
    type: "bridge",
    bridge: "cni0",
    isDefaultGateway: true,
    forceAddress: false,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: "host-local", subnet: "172.17.1.0/24" },
    vlan: 7,
    nobodys: [{ a: null }],
  });
});

test("every other key passes, and what was given is not changed", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (raw) => {
      const before = JSON.stringify(raw);
      const { type, ...rest } = delegateConfig({ ...raw, vpn: { PSK: "x" } });
      const { type: _, vpn: __, logFile: ___, logLevel: ____, ...expected } = raw;
      expect(type).toBe("bridge");
      expect(JSON.stringify(rest)).toBe(JSON.stringify(expected));
      expect(JSON.stringify(raw)).toBe(before);
    }),
  );
});
