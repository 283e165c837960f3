import type { JsonObject } from "../../../src/cni/json.ts";
import { linkOf } from "../support/links.ts";
import { requireError, requireSilentSuccess, requireSuccess } from "../support/outcome.ts";
import type { Kind } from "../support/profile.ts";
import { requirements } from "../support/requirement.ts";
import { added, interfaceOf, type Listed, listed, textOf } from "../support/result.ts";
import type { Subject } from "../support/subject.ts";
import { mustBeSame } from "../support/violation.ts";

/** Section 2, "CHECK". */
export const check = requirements(
  "Section 2: CHECK",
  [
    {
      id: "check/right-after-add",
      level: "MUST",
      title: "succeeds right after ADD, and prints nothing",
      run: async (subject) => {
        await using attached = await subject.attached();
        await attached.added();
        requireSilentSuccess(await attached.check());
        requireSilentSuccess(await attached.check({ title: "a second CHECK" }));
      },
    },
    {
      id: "check/no-prev-result",
      level: "MUST",
      title: "fails without prevResult",
      run: async (subject) => {
        const attached = await subject.shared();
        requireError(await attached.check({ title: "CHECK without prevResult", conf: { prevResult: undefined } }));
      },
    },
    {
      id: "check/consults-prev-result",
      level: "MUST",
      title: "fails when prevResult has another address than the one that the plugin gave",
      run: async (subject) => {
        const attached = await subject.shared();
        const { result = {} } = attached;
        const made = added(attached.before, result).ips.map(({ address }) => address);
        if (nothingMade(subject, "address", made)) return;
        for (const address of made) {
          const ips = listed(result).ips.map((ip) => (ip.address === address ? { ...ip, address: otherOf(ip) } : ip));
          const title = `CHECK without ${address} in prevResult`;
          requireError(await attached.check({ title, conf: { prevResult: { ...result, ips } } }));
        }
      },
    },
    {
      id: "check/interface-missing",
      level: "SHOULD",
      title: "fails when an interface that the plugin made is gone",
      run: (subject) =>
        seesDamage(subject, "interface", ({ interfaces }) =>
          inSandbox(interfaces).map((item) => ["ip", "link", "del", textOf(item, "name")]),
        ),
    },
    {
      id: "check/address-missing",
      level: "SHOULD",
      title: "fails when an address that the plugin gave is gone",
      run: (subject) =>
        seesDamage(subject, "address", ({ ips }, result) =>
          ips.slice(0, 1).map((ip) => {
            const name = interfaceOf(result, ip)?.name;
            return ["ip", "address", "del", textOf(ip, "address"), "dev", String(name)];
          }),
        ),
    },
    {
      id: "check/route-missing",
      level: "SHOULD",
      title: "fails when a route that the plugin made is gone",
      run: (subject) =>
        seesDamage(subject, "route", ({ routes }) => routes.slice(0, 1).map((route) => removal(textOf(route, "dst")))),
    },
    {
      id: "check/other-damages",
      level: "SHOULD",
      title: "fails when something else that it made or needs is missing: firewall rules, reservations, a daemon",
      run: async (subject) => {
        for (const { what, cause } of subject.profile.damages) {
          await using attached = await subject.attached();
          await attached.added();
          await cause(attached);
          requireError(await attached.check({ title: `CHECK when ${what}` }));
        }
      },
    },
    {
      id: "check/later-plugin",
      level: "MUST",
      title: "allows what a later plugin changed: another route, an MTU, an interface more in prevResult",
      run: async (subject) => {
        await using attached = await subject.attached();
        const result = await attached.added();
        await attached.pod.exec(["ip", "link", "set", attached.ifname, "mtu", "1300"]);
        await attached.pod.exec(["ip", "link", "add", "later0", "type", "veth", "peer", "name", "later1"]);
        await attached.pod.exec(["ip", "link", "set", "later0", "up"]);
        await attached.pod.exec(["ip", "route", "add", "198.51.100.0/24", "dev", attached.ifname]);
        const { interfaces, routes } = listed(result);
        const sandbox = attached.pod.netnsPath;
        const mac = (await linkOf(attached.pod, "later0"))?.address;
        const later = { name: "later0", mac, sandbox };
        const prevResult = {
          ...result,
          interfaces: [...interfaces.map((item) => withMtu(item, attached.ifname)), later],
          routes: [...routes, { dst: "198.51.100.0/24" }],
        };
        requireSuccess(await attached.check({ title: "CHECK after a later plugin", conf: { prevResult } }));
      },
    },
  ],
  "0.4.0",
);

/**
 * ADD, then in the container the commands that `damage` makes of what the plugin has added, then CHECK, which must fail.
 */
async function seesDamage(
  subject: Subject,
  kind: Kind,
  damage: (made: Listed, result: JsonObject) => readonly (readonly string[])[],
): Promise<void> {
  await using attached = await subject.attached();
  const result = await attached.added();
  const commands = damage(added(attached.before, result), result);
  if (nothingMade(subject, kind, commands)) return;
  requireSuccess(await attached.check());
  for (const [file = "", ...args] of commands.slice(0, 1)) await attached.pod.exec([file, ...args]);
  requireError(await attached.check({ title: `CHECK after ${commands[0]?.join(" ")}` }));
}

/** A plugin whose profile says that it makes such things must not come by without any. */
function nothingMade({ profile }: Subject, kind: Kind, made: readonly unknown[]): boolean {
  if (profile.makes !== undefined) mustBeSame(made.length > 0, profile.makes.includes(kind), `making of any ${kind}`);
  return made.length === 0;
}

function inSandbox(interfaces: readonly JsonObject[]): JsonObject[] {
  return interfaces.filter(({ sandbox }) => sandbox !== undefined && sandbox !== "");
}

/** In 1.1.0 a result may have the MTU: a plugin that changes it changes that as well. */
function withMtu(item: JsonObject, ifname: string): JsonObject {
  return item.name === ifname && item.mtu !== undefined ? { ...item, mtu: 1300 } : item;
}

function removal(dst: string): readonly string[] {
  return ["ip", dst.includes(":") ? "-6" : "-4", "route", "del", dst];
}

/** An address of the same subnet, or at least family, that nobody has. */
function otherOf(ip: JsonObject): string {
  const address = textOf(ip, "address");
  const length = address.slice(address.indexOf("/"));
  return `${address.includes(":") ? "2001:db8::7" : "192.0.2.7"}${length}`;
}
