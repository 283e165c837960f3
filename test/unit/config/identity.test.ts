import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expandIdentity, identityOf, legalIdentity } from "../../../src/config/identity.ts";
import { Fault } from "../../../src/fault.ts";

const values = { containerID: "4f0c", ifname: "eth0", node: "node1", args: new Map([["K8S_POD_NAME", "web-0"]]) };

describe("expandIdentity", () => {
  test.each([
    ["{containerID}.{ifname}@{node}", "4f0c.eth0@node1"],
    ["{args.K8S_POD_NAME}-{args.K8S_POD_NAME}", "web-0-web-0"],
    ["@{node}.example", "@node1.example"],
    ["keyid:{containerID}", "keyid:4f0c"],
    ["C=CH,CN={containerID}", "C=CH,CN=4f0c"],
    ["plain", "plain"],
  ])("makes %s into %s", (template, identity) => {
    expect(expandIdentity(template, values)).toBe(identity);
  });

  test("reads a value only once, whatever is in it", () => {
    const args = new Map([["A", "{node}"]]);
    expect(identityOf("{args.A}", { ...values, args }).issues[0]?.what).toBe(
      'vpn.identity is "{args.A}", which becomes "{node}"',
    );
  });

  test.each([
    ["{pod}", 'vpn.identity has the placeholder "{pod}"'],
    ["{}", 'vpn.identity has the placeholder "{}"'],
    ["{args.}", 'vpn.identity has the placeholder "{args.}", and CNI_ARGS does not have it'],
    ["{args.UID}", 'vpn.identity has the placeholder "{args.UID}", and CNI_ARGS does not have it'],
    ["{node", 'vpn.identity is "{node"'],
    ["a b", 'vpn.identity is "a b"'],
    ["", 'vpn.identity is ""'],
    ["pod-ü", 'vpn.identity is "pod-ü"'],
    ["x".repeat(256), `vpn.identity is "${"x".repeat(59)}…`],
  ])("refuses %s, naming it", (template, what) => {
    const refuse = () => expandIdentity(template, values);
    expect(refuse).toThrow(Fault);
    expect(refuse).toThrow(expect.objectContaining({ code: 7, what }));
  });

  test("names all unknown placeholders, and what CNI_ARGS has", () => {
    expect(identityOf("{a}{args.B}{node}", values).issues).toEqual([
      expect.objectContaining({ what: 'vpn.identity has the placeholder "{a}"' }),
      expect.objectContaining({ remedy: "use what the runtime passes (K8S_POD_NAME)" }),
    ]);
  });

  test("differs where container, interface or node differ, by the default template", () => {
    const name = fc.stringMatching(/^[a-z0-9]{1,12}$/);
    const call = fc.record({ containerID: name, ifname: name, node: name });
    fc.assert(
      fc.property(call, call, (a, b) => {
        const [one, other] = [a, b].map((some) => expandIdentity("{containerID}.{ifname}@{node}", some));
        expect(one === other).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
    );
  });
});

describe("legalIdentity", () => {
  test.each(["server", "192.0.2.1", "fd00::1", "@hub", "a@b", "#!$%&()+,-./:;<=>?@[]^_|~", "x".repeat(255)])(
    "takes %s",
    (text) => expect(legalIdentity(text)).toBe(true),
  );

  test.each([
    "",
    "%any",
    "%any6",
    "0.0.0.0",
    "::",
    "0::0",
    "*",
    "*.example",
    'a"b',
    "a'b",
    "a`b",
    "a\\b",
    "a\tb",
    "a\n",
  ])("refuses %j", (text) => expect(legalIdentity(text)).toBe(false));
});
