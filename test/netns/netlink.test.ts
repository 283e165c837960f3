import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Address, parseAddress } from "../../src/net/address.ts";
import { type Prefix, parsePrefix } from "../../src/net/prefix.ts";
import {
  addAddress,
  ensureAddress,
  ensureNoAddress,
  type LinkAddress,
  listAddresses,
  removeAddress,
} from "../../src/netlink/addresses.ts";
import { attribute, u32Of } from "../../src/netlink/attributes.ts";
import { cString } from "../../src/netlink/bytes.ts";
import { Group, waitForAddress, waitForLink } from "../../src/netlink/events.ts";
import { commandFamily, dumpFamily, findFamily } from "../../src/netlink/generic.ts";
import { addLink, deleteLink, getLink, type Link, listLinks, moveLink, setLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { openGeneric, openRoute, openXfrm } from "../../src/netlink/open.ts";
import {
  addRoute,
  ensureNoRoute,
  ensureRoute,
  listRoutes,
  lookupRoute,
  PROTOCOL_PODVPN,
  type Route,
  removeRoute,
  Table,
} from "../../src/netlink/routes.ts";
import { addRule, ensureNoRule, ensureRule, listRules, type Rule, removeRule } from "../../src/netlink/rules.ts";
import {
  addPolicy,
  ensureNoPolicy,
  ensurePolicy,
  listPolicies,
  listStates,
  removePolicy,
  type WantedPolicy,
} from "../../src/netlink/xfrm.ts";
import { inNetns } from "../../src/os/namespace.ts";
import { BareNetns } from "./support/bare-netns.ts";
import { eventually } from "./support/eventually.ts";

// Each test has a network namespace of its own, without a name; what we do there is compared with what iproute2 sees,
// and the other way round. `ip` is the judge: it shares no code with us.

let bare: BareNetns;
let nl: Netlink;
let xfrm: Netlink;

beforeEach(async () => {
  bare = await BareNetns.create();
  nl = inNetns(bare.netns, openRoute);
  xfrm = inNetns(bare.netns, openXfrm);
});

afterEach(async () => {
  nl.close();
  xfrm.close();
  await bare[Symbol.asyncDispose]();
});

/** Runs a command in the test's namespace. */
function run(command: string): string {
  return bare.shell(command);
}

/** Runs statements in a process of its own in the test's namespace, with a socket `nl`. */
function program(statements: string) {
  const source = new URL("../../src/netlink", import.meta.url).href;
  const script = `
    import { addLink, listLinks } from "${source}/links.ts";
    import { openRoute } from "${source}/open.ts";
    const nl = openRoute();
    ${statements}`;
  const node = [process.execPath, "--experimental-transform-types", "--input-type=module", "-e", script];
  const options = { encoding: "utf8", timeout: 20_000 } as const;
  return spawnSync("nsenter", [`--net=${bare.path}`, ...node], options);
}

/** What `ip -j` prints, as it documents it nowhere: objects of whatever the command shows. */
function ip(command: string): Record<string, unknown>[] {
  return JSON.parse(run(`ip -d -j ${command}`) || "[]");
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

async function link(name: string): Promise<Link> {
  const found = await getLink(nl, name);
  if (found === undefined) throw new TypeError(`no link ${name}`);
  return found;
}

/** A veth pair p0, p1, both up, without duplicate address detection's delays. */
async function pair(): Promise<Link> {
  await addLink(nl, { kind: "veth", name: "p0", peer: "p1" });
  for (const name of ["p0", "p1"]) await setLink(nl, (await link(name)).index, { up: true });
  return link("p0");
}

describe("links", () => {
  test("read as iproute2 reads them", async () => {
    run(
      "ip link add br7 type bridge && ip link add v0 mtu 1400 type veth peer name v1 && ip link set v0 master br7 up",
    );
    run("ip tuntap add dev tun0 mode tun");
    const theirs = ip("link show").map((entry) => ({
      index: entry.ifindex,
      name: entry.ifname,
      mtu: entry.mtu,
      up: (entry.flags as string[]).includes("UP"),
      address: entry.address ?? "",
      kind: (entry.linkinfo as { info_kind?: string } | undefined)?.info_kind,
    }));
    const ours = await listLinks(nl);
    expect(ours.map(({ index, name, mtu, up, address, kind }) => ({ index, name, mtu, up, address, kind }))).toEqual(
      theirs,
    );
    expect(theirs.map(({ name }) => name)).toEqual(expect.arrayContaining(["lo", "br7", "v0", "v1", "tun0"]));
    expect(await getLink(nl, "v0")).toMatchObject({
      master: (await link("br7")).index,
      linkIndex: (await link("v1")).index,
    });
    expect(await getLink(nl, (await link("v0")).index)).toEqual(await link("v0"));
  });

  test("that do not exist are undefined, by name and by index", async () => {
    expect(await getLink(nl, "eth9")).toBeUndefined();
    expect(await getLink(nl, 4242)).toBeUndefined();
  });

  test("a bridge has the address and the MTU that it was given", async () => {
    await addLink(nl, { kind: "bridge", name: "br7", address: "02:aa:00:00:0f:01", mtu: 1450 });
    expect(ip("link show br7")).toMatchObject([
      { address: "02:aa:00:00:0f:01", mtu: 1450, operstate: "DOWN", linkinfo: { info_kind: "bridge" } },
    ]);
  });

  test("a veth pair has the MTU at both ends", async () => {
    await addLink(nl, { kind: "veth", name: "v0", peer: "v1", mtu: 1400 });
    expect(ip("link show type veth").map(({ ifname, mtu }) => ({ ifname, mtu }))).toEqual(
      expect.arrayContaining([
        { ifname: "v0", mtu: 1400 },
        { ifname: "v1", mtu: 1400 },
      ]),
    );
  });

  test("are set up and down and resized, each without touching the other", async () => {
    const { index } = await pair();
    await setLink(nl, index, { mtu: 1300 });
    expect(ip("link show p0")).toMatchObject([{ mtu: 1300, flags: expect.arrayContaining(["UP"]) }]);
    await setLink(nl, index, { up: false });
    expect(ip("link show p0")).toMatchObject([{ mtu: 1300, flags: expect.not.arrayContaining(["UP"]) }]);
  });

  test("a name that is taken is EEXIST, and the link that has it stays as it is", async () => {
    const { index } = await pair();
    await expect(addLink(nl, { kind: "bridge", name: "p0" })).rejects.toMatchObject({
      errno: "EEXIST",
      operation: "add the bridge p0",
    });
    await expect(addLink(nl, { kind: "veth", name: "q0", peer: "p1" })).rejects.toMatchObject({ errno: "EEXIST" });
    expect(await getLink(nl, "q0")).toBeUndefined();
    expect(ip("link show p0")).toMatchObject([{ ifindex: index }]);
  });

  test("a veth's peer goes with it, and a link that is gone is ENODEV", async () => {
    const { index } = await pair();
    await deleteLink(nl, index);
    expect(ip("link show").map(({ ifname }) => ifname)).toEqual(["lo"]);
    await expect(deleteLink(nl, index)).rejects.toMatchObject({ errno: "ENODEV" });
  });

  test("have their group from the first moment on", async () => {
    await addLink(nl, { kind: "bridge", name: "br7", group: 174 });
    expect(run("ip -o link show group 174 | cut -d: -f2").trim()).toBe("br7");
    expect(await link("br7")).toMatchObject({ group: 174 });
    expect(await link("lo")).not.toHaveProperty("group");
  });

  test("are given an alias, which an empty one takes away", async () => {
    const { index } = await pair();
    await setLink(nl, index, { alias: "of pod ä" });
    expect(ip("link show p0")).toMatchObject([{ ifalias: "of pod ä" }]);
    expect(await link("p0")).toMatchObject({ alias: "of pod ä" });
    await setLink(nl, index, { alias: "" });
    expect(await link("p0")).not.toHaveProperty("alias");
    expect(ip("link show p0")[0]).not.toHaveProperty("ifalias");
  });

  test("are renamed, unless another has the name", async () => {
    const { index } = await pair();
    await setLink(nl, index, { up: false });
    await setLink(nl, index, { name: "q0" });
    expect(ip("link show q0")).toMatchObject([{ ifindex: index }]);
    await expect(setLink(nl, index, { name: "p1" })).rejects.toMatchObject({ errno: "EEXIST" });
    expect(await link("q0")).toMatchObject({ index });
  });

  test("a kind that the kernel does not have is ENOTSUP", async () => {
    const kind = "podvpn-none" as "dummy";
    await expect(addLink(nl, { kind, name: "d0" })).rejects.toMatchObject({ errno: "ENOTSUP" });
  });
});

describe("a link that is moved to another namespace", () => {
  let target: BareNetns;
  let there: Netlink;

  beforeEach(async () => {
    target = await BareNetns.create();
    there = inNetns(target.netns, openRoute);
  });

  afterEach(async () => {
    there.close();
    await target[Symbol.asyncDispose]();
  });

  async function names(): Promise<string[]> {
    return (await listLinks(there)).map(({ name }) => name).sort();
  }

  test("is there under its new name, down, with its MTU and its group, and here no more", async () => {
    await addLink(nl, { kind: "veth", name: "p0", peer: "p1", group: 174 });
    const { index } = await link("p0");
    await setLink(nl, index, { up: true, mtu: 1380 });
    await moveLink(nl, index, { netns: target.netns, name: "wg0" });
    expect(await getLink(nl, "p0")).toBeUndefined();
    expect(await getLink(there, "wg0")).toMatchObject({ index, mtu: 1380, up: false, group: 174, kind: "veth" });
  });

  test("takes its new name at once, although its old one is taken there", async () => {
    await addLink(there, { kind: "bridge", name: "p0" });
    const { index } = await pair();
    await moveLink(nl, index, { netns: target.netns, name: "wg0" });
    expect(await names()).toEqual(["lo", "p0", "wg0"]);
  });

  test("has come with its old name when the new one is taken there, and the error says which", async () => {
    await addLink(there, { kind: "bridge", name: "wg0" });
    const { index } = await pair();
    await expect(moveLink(nl, index, { netns: target.netns, name: "wg0" })).rejects.toMatchObject({
      errno: "EEXIST",
      operation: `move link ${index} to ${target.netns.path} as wg0`,
    });
    expect(await names()).toEqual(["lo", "p0", "wg0"]);
  });

  test("stays when both its names are taken there", async () => {
    await addLink(there, { kind: "veth", name: "wg0", peer: "p0" });
    const { index } = await pair();
    await expect(moveLink(nl, index, { netns: target.netns, name: "wg0" })).rejects.toMatchObject({ errno: "EEXIST" });
    expect(await link("p0")).toMatchObject({ index });
  });

  test("stays when it has gone, or is one that cannot be moved", async () => {
    await expect(moveLink(nl, 4242, { netns: target.netns, name: "wg0" })).rejects.toMatchObject({ errno: "ENODEV" });
    await addLink(nl, { kind: "bridge", name: "br7" });
    const { index } = await link("br7");
    await expect(moveLink(nl, index, { netns: target.netns, name: "wg0" })).rejects.toMatchObject({ errno: "EINVAL" });
    expect(await link("br7")).toMatchObject({ index });
    expect(await names()).toEqual(["lo"]);
  });
});

describe("generic netlink", () => {
  const CTRL_CMD_GETFAMILY = 3;
  const CTRL_ATTR_FAMILY_ID = 1;
  const CTRL_ATTR_FAMILY_NAME = 2;
  const CTRL_ATTR_VERSION = 3;
  let generic: Netlink;

  beforeEach(() => {
    generic = inNetns(bare.netns, openGeneric);
  });
  afterEach(() => generic.close());

  test("finds a family by its name: that of the families has a fixed number", async () => {
    expect(await findFamily(generic, "nlctrl", 2)).toEqual({ name: "nlctrl", version: 2, id: 16 });
  });

  test("has no family of a name that nobody has", async () => {
    await expect(findFamily(generic, "podvpn-none", 1)).rejects.toMatchObject({
      errno: "ENOENT",
      operation: "find the generic netlink family podvpn-none",
    });
  });

  test("lists what a family has, with all attributes of each", async () => {
    const nlctrl = await findFamily(generic, "nlctrl", 2);
    const families = await dumpFamily(generic, nlctrl, { command: CTRL_CMD_GETFAMILY, attributes: [] }, "list");
    const own = families.find((family) => String(family.get(CTRL_ATTR_FAMILY_NAME)) === "nlctrl\0");
    expect(own?.get(CTRL_ATTR_FAMILY_ID)).toEqual(Buffer.from([16, 0]));
    expect(own && u32Of(own, CTRL_ATTR_VERSION)).toBe(2);
  });

  test("says why a family refuses a command", async () => {
    const nlctrl = await findFamily(generic, "nlctrl", 2);
    const refused = (command: number, attributes: Uint8Array[]) =>
      commandFamily(generic, nlctrl, { command, attributes }, "try it");
    await expect(refused(200, [])).rejects.toMatchObject({ errno: "ENOTSUP", operation: "try it" });
    const none = attribute(CTRL_ATTR_FAMILY_NAME, cString("podvpn-none"));
    await expect(refused(CTRL_CMD_GETFAMILY, [none])).rejects.toMatchObject({ errno: "ENOENT" });
  });
});

describe("addresses", () => {
  const virtual = (index: number): LinkAddress => ({
    index,
    address: address("10.173.0.5"),
    prefixLength: 32,
    scope: "universe",
    flags: ["noprefixroute"],
  });

  test("are seen by iproute2 with prefix length, scope and flags", async () => {
    const { index } = await pair();
    await addAddress(nl, virtual(index));
    await addAddress(nl, {
      ...virtual(index),
      address: address("10.9.1.1"),
      prefixLength: 16,
      scope: "link",
      flags: [],
    });
    await addAddress(nl, {
      ...virtual(index),
      address: address("fd00::5"),
      prefixLength: 64,
      flags: ["nodad", "noprefixroute"],
    });
    const [shown] = ip("address show p0");
    const infos = shown?.addr_info as { local: string }[];
    expect(infos.sort((one, other) => (one.local < other.local ? -1 : 1))).toMatchObject([
      { local: "10.173.0.5", prefixlen: 32, scope: "global", noprefixroute: true },
      { local: "10.9.1.1", prefixlen: 16, scope: "link" },
      { local: "fd00::5", prefixlen: 64, scope: "global", nodad: true, noprefixroute: true },
      { family: "inet6", scope: "link" },
    ]);
  });

  test("read as iproute2 reads them, also with a peer", async () => {
    const { index } = await pair();
    run("ip address add 10.1.2.3 peer 10.1.2.4/32 dev p0 && ip address add fd00::3/64 dev p0 nodad");
    run("ip address add 10.5.0.1/24 dev p0 && ip address add 10.5.0.2/24 dev p0 && ip link set lo up");
    const theirs = ip("address show").flatMap(({ ifindex, addr_info }) =>
      (addr_info as Record<string, unknown>[]).map(({ local, prefixlen }) => `${ifindex} ${local}/${prefixlen}`),
    );
    const ours = await listAddresses(nl);
    expect(ours.map((entry) => `${entry.index} ${entry.address}/${entry.prefixLength}`).sort()).toEqual(theirs.sort());
    expect(ours.find((entry) => entry.address === "10.5.0.2")?.flags).toEqual(["secondary", "permanent"]);
    expect(ours.find((entry) => entry.address === "127.0.0.1")?.scope).toBe("host");
    expect((await listAddresses(nl, index)).every((entry) => entry.index === index)).toBe(true);
    expect(await listAddresses(nl, 1)).toHaveLength(2);
  });

  test("the ensuring verbs say whether they changed something", async () => {
    const { index } = await pair();
    const six = { ...virtual(index), address: address("fd00::5"), prefixLength: 128 };
    for (const entry of [virtual(index), six]) {
      expect(await ensureAddress(nl, entry)).toBe(true);
      expect(await ensureAddress(nl, entry)).toBe(false);
      expect(await ensureNoAddress(nl, entry)).toBe(true);
      expect(await ensureNoAddress(nl, entry)).toBe(false);
    }
    expect(await ensureNoAddress(nl, virtual(4242))).toBe(false);
    expect((await listAddresses(nl, index)).filter(({ scope }) => scope === "universe")).toEqual([]);
  });

  test("the others say what is wrong", async () => {
    const { index } = await pair();
    await addAddress(nl, virtual(index));
    await expect(addAddress(nl, virtual(index))).rejects.toMatchObject({
      errno: "EEXIST",
      operation: `add the address 10.173.0.5/32 on link ${index}`,
    });
    await removeAddress(nl, virtual(index));
    await expect(removeAddress(nl, virtual(index))).rejects.toMatchObject({ errno: "EADDRNOTAVAIL" });
    await expect(ensureAddress(nl, virtual(4242))).rejects.toMatchObject({ errno: "ENODEV" });
  });
});

describe("routes", () => {
  const base = { table: Table.main, scope: "universe", protocol: PROTOCOL_PODVPN } as const;

  test("are seen by iproute2 with all that was given", async () => {
    const { index: oif } = await pair();
    run("ip address add 10.9.1.1/16 dev p0 && ip address add fd00:9::1/64 dev p0 nodad");
    await addRoute(nl, {
      ...base,
      dst: prefix("10.173.0.0/16"),
      type: "unicast",
      gateway: address("10.9.0.254"),
      oif,
      metric: 100,
      src: address("10.9.1.1"),
      mtu: 1400,
    });
    await addRoute(nl, { ...base, dst: prefix("10.174.0.0/16"), type: "unicast", oif, scope: "link", table: 1220 });
    await addRoute(nl, { ...base, dst: prefix("10.173.0.0/16"), type: "blackhole", metric: 4000 });
    await addRoute(nl, { ...base, dst: prefix("fd00:173::/64"), type: "unreachable", metric: 4000 });
    await addRoute(nl, { ...base, dst: prefix("::/0"), type: "unicast", gateway: address("fd00:9::fe"), mtu: 1380 });
    expect(ip("route show proto 173")).toMatchObject([
      { type: "unicast", dst: "10.173.0.0/16", gateway: "10.9.0.254", dev: "p0", prefsrc: "10.9.1.1", metric: 100 },
      { type: "blackhole", dst: "10.173.0.0/16", metric: 4000 },
    ]);
    expect(run("ip route show 10.173.0.0/16 metric 100")).toContain("mtu 1400");
    expect(ip("route show table 1220")).toMatchObject([{ dst: "10.174.0.0/16", dev: "p0", scope: "link" }]);
    expect(ip("-6 route show proto 173")).toMatchObject([
      { type: "unreachable", dst: "fd00:173::/64", metric: 4000 },
      { type: "unicast", dst: "default", gateway: "fd00:9::fe", dev: "p0", metric: 1024 },
    ]);
  });

  test("read as they were written, and only those that the filter wants", async () => {
    const { index: oif } = await pair();
    run("ip address add 10.9.1.1/16 dev p0 && ip address add fd00:9::1/64 dev p0 nodad");
    const routes: Route[] = [
      { ...base, dst: prefix("0.0.0.0/0"), type: "unicast", gateway: address("10.9.0.254"), oif, mtu: 1400 },
      { ...base, dst: prefix("10.1.0.0/16"), type: "unicast", oif, scope: "link", src: address("10.9.1.1"), metric: 7 },
      { ...base, dst: prefix("10.2.0.0/16"), type: "blackhole" },
      { ...base, dst: prefix("10.3.0.0/16"), type: "prohibit", metric: 9 },
      { ...base, dst: prefix("10.4.0.0/16"), type: "throw", table: 70_000 },
      { ...base, dst: prefix("fd00:1::/48"), type: "unicast", gateway: address("fd00:9::fe"), oif, metric: 5 },
      { ...base, dst: prefix("10.5.0.0/16"), type: "unicast", gateway: address("fd00:9::fe"), oif },
    ];
    for (const route of routes) await addRoute(nl, route);
    const ours = await listRoutes(nl, { protocol: PROTOCOL_PODVPN });
    expect(ours).toHaveLength(routes.length);
    expect(ours).toEqual(expect.arrayContaining(routes));
    expect(ip("route show 10.5.0.0/16")).toMatchObject([{ via: { family: "inet6", host: "fd00:9::fe" }, dev: "p0" }]);
    expect(await listRoutes(nl, { table: 70_000 })).toEqual([routes[4]]);
    expect(await listRoutes(nl, { family: 6, protocol: PROTOCOL_PODVPN })).toEqual([routes[5]]);
    for (const route of routes) await removeRoute(nl, route);
    expect(await listRoutes(nl, { protocol: PROTOCOL_PODVPN })).toEqual([]);
  });

  test("all tables are read: as many routes as iproute2 shows", async () => {
    await pair();
    run("ip address add 10.9.1.1/16 dev p0 && ip link set lo up && ip route add blackhole 10.0.0.0/8 table 42");
    const theirs = [...ip("-4 route show table all"), ...ip("-6 route show table all")];
    expect(await listRoutes(nl, {})).toHaveLength(theirs.length);
  });

  test("a table of 20,000 routes is read whole, though it comes in many datagrams", async () => {
    const lines = Array.from(
      { length: 20_000 },
      (_, n) => `route add blackhole 10.${n >> 8}.${n & 255}.0/24 proto 173`,
    );
    bare.exec(["ip", "-batch", "-"], lines.join("\n"));
    const ours = await listRoutes(nl, { family: 4, table: Table.main });
    expect(new Set(ours.map(({ dst }) => dst)).size).toBe(20_000);
  });

  test.each(["10.173.0.0/16", "fd00:173::/64", "::/0"])(
    "the ensuring verbs say whether they changed %s",
    async (dst) => {
      const { index: oif } = await pair();
      const guard: Route = { ...base, dst: prefix(dst), type: "blackhole", metric: 4000 };
      const plain: Route = { ...base, dst: prefix(dst), type: "unicast", oif, scope: "link" };
      for (const route of [guard, plain]) {
        expect(await ensureRoute(nl, route)).toBe(true);
        expect(await ensureRoute(nl, route)).toBe(false);
      }
      expect(await ensureNoRoute(nl, guard)).toBe(true);
      expect(await ensureNoRoute(nl, guard)).toBe(false);
      expect(await ensureNoRoute(nl, plain)).toBe(true);
      expect(await listRoutes(nl, { protocol: PROTOCOL_PODVPN })).toEqual([]);
      expect(await ensureNoRoute(nl, { ...plain, oif: 4242 })).toBe(false);
    },
  );

  test.each([
    ["10.173.0.0/16", "10.9.0.1", "10.9.0.2"],
    ["fd00:173::/64", "fd00:9::1", "fd00:9::2"],
  ])("a route to %s that differs is replaced, not doubled", async (dst, first, second) => {
    const { index: oif } = await pair();
    run("ip address add 10.9.1.1/16 dev p0 && ip address add fd00:9::9/64 dev p0 nodad");
    const route = (gateway: string): Route => ({
      ...base,
      dst: prefix(dst),
      type: "unicast",
      gateway: address(gateway),
      oif,
      metric: 50,
    });
    expect(await ensureRoute(nl, route(first))).toBe(true);
    expect(await ensureRoute(nl, route(second))).toBe(true);
    expect(await listRoutes(nl, { protocol: PROTOCOL_PODVPN })).toEqual([route(second)]);
  });

  test("the strict verbs say what is wrong", async () => {
    const guard: Route = { ...base, dst: prefix("10.173.0.0/16"), type: "blackhole", metric: 4000 };
    await addRoute(nl, guard);
    await expect(addRoute(nl, guard)).rejects.toMatchObject({
      errno: "EEXIST",
      operation: "add the blackhole route to 10.173.0.0/16 in table 254",
    });
    await removeRoute(nl, guard);
    await expect(removeRoute(nl, guard)).rejects.toMatchObject({ errno: "ESRCH" });
  });

  test("a removal leaves the route of another maker alone", async () => {
    run("ip route add blackhole 10.173.0.0/16 metric 4000 proto static");
    const ours: Route = { ...base, dst: prefix("10.173.0.0/16"), type: "blackhole", metric: 4000 };
    expect(await ensureNoRoute(nl, ours)).toBe(false);
    expect(ip("route show")).toHaveLength(1);
  });

  test("a lookup follows the rules to the table, and finds the source address", async () => {
    const { index: oif } = await pair();
    run("ip address add 10.9.1.1/16 dev p0 && ip address add fd00:9::1/64 dev p0 nodad");
    run("ip route add 10.173.0.0/16 via 10.9.0.254 table 220 && ip rule add pref 220 table 220");
    expect(await lookupRoute(nl, address("10.173.0.7"))).toMatchObject({
      dst: "10.173.0.7/32",
      gateway: "10.9.0.254",
      oif,
      src: "10.9.1.1",
      table: 220,
      type: "unicast",
    });
    expect(await lookupRoute(nl, address("fd00:9::2"))).toMatchObject({ oif, src: "fd00:9::1", table: Table.main });
  });

  test.each([
    ["no route", ""],
    ["a blackhole", "ip route add blackhole 10.173.0.0/16; ip -6 route add blackhole fd00:173::/64"],
    ["an unreachable", "ip route add unreachable 10.173.0.0/16; ip -6 route add unreachable fd00:173::/64"],
    ["a prohibit", "ip route add prohibit 10.173.0.0/16; ip -6 route add prohibit fd00:173::/64"],
    ["a throw", "ip route add throw 10.173.0.0/16; ip -6 route add throw fd00:173::/64"],
  ])("a lookup that meets %s finds nothing", async (_what, command) => {
    await pair();
    run(command);
    expect(await lookupRoute(nl, address("10.173.0.7"))).toBeUndefined();
    expect(await lookupRoute(nl, address("fd00:173::7"))).toBeUndefined();
  });
});

describe("rules", () => {
  const rules: Rule[] = [
    { family: 4, priority: 210, dst: prefix("10.173.9.0/24"), action: "lookup", table: 254, protocol: PROTOCOL_PODVPN },
    { family: 4, priority: 221, dst: prefix("10.173.0.0/16"), action: "blackhole", protocol: PROTOCOL_PODVPN },
    { family: 6, priority: 221, dst: prefix("fd00:173::/64"), action: "unreachable", protocol: PROTOCOL_PODVPN },
    {
      family: 4,
      priority: 300,
      src: prefix("10.9.0.0/16"),
      iif: "eth7",
      action: "prohibit",
      protocol: PROTOCOL_PODVPN,
    },
    {
      family: 4,
      priority: 301,
      fwmark: 0x42,
      invert: true,
      action: "lookup",
      table: 70_000,
      protocol: PROTOCOL_PODVPN,
    },
    {
      family: 6,
      priority: 302,
      fwmark: 0,
      fwmask: 0xff,
      oif: "eth8",
      action: "lookup",
      table: 220,
      protocol: PROTOCOL_PODVPN,
    },
  ];

  test("are seen by iproute2 with all that was given", async () => {
    for (const rule of rules) await addRule(nl, rule);
    expect(ip("-4 rule show").slice(1, -2)).toMatchObject([
      { priority: 210, src: "all", dst: "10.173.9.0", dstlen: 24, table: "main", protocol: "173" },
      { priority: 221, src: "all", dst: "10.173.0.0", dstlen: 16, action: "blackhole" },
      { priority: 300, src: "10.9.0.0", srclen: 16, iif: "eth7", action: "prohibit" },
      { priority: 301, not: null, src: "all", fwmark: "0x42", table: "70000" },
    ]);
    expect(ip("-6 rule show").slice(1, -1)).toMatchObject([
      { priority: 221, src: "all", dst: "fd00:173::", dstlen: 64, action: "unreachable" },
      { priority: 302, src: "all", fwmark: "0", fwmask: "0xff", oif: "eth8", table: "220" },
    ]);
  });

  test("read as they were written, and the kernel's own as its own", async () => {
    for (const rule of rules) await addRule(nl, rule);
    const ours = await listRules(nl);
    expect(ours).toEqual(expect.arrayContaining(rules));
    expect(ours).toHaveLength(rules.length + 5);
    expect(ours).toContainEqual({ family: 4, priority: 32766, action: "lookup", table: Table.main, protocol: 2 });
    expect((await listRules(nl, 6)).every(({ family }) => family === 6)).toBe(true);
  });

  test("the ensuring verbs say whether they changed something", async () => {
    for (const rule of rules) {
      expect(await ensureRule(nl, rule)).toBe(true);
      expect(await ensureRule(nl, rule)).toBe(false);
    }
    for (const rule of rules) {
      expect(await ensureNoRule(nl, rule)).toBe(true);
      expect(await ensureNoRule(nl, rule)).toBe(false);
    }
    expect(ip("-4 rule show")).toHaveLength(3);
    expect(ip("-6 rule show")).toHaveLength(2);
  });

  test("the strict verbs say what is wrong", async () => {
    const [rule] = rules as [Rule];
    await addRule(nl, rule);
    await expect(addRule(nl, rule)).rejects.toMatchObject({
      errno: "EEXIST",
      operation: "add the IPv4 rule 210 from all to 10.173.9.0/24 lookup 254",
    });
    await removeRule(nl, rule);
    await expect(removeRule(nl, rule)).rejects.toMatchObject({ errno: "ENOENT" });
  });
});

describe("XFRM", () => {
  const policies: WantedPolicy[] = [
    {
      direction: "out",
      src: prefix("0.0.0.0/0"),
      dst: prefix("10.173.0.0/16"),
      action: "block",
      priority: 4_000_000_000,
    },
    {
      direction: "in",
      src: prefix("10.173.0.0/16"),
      dst: prefix("0.0.0.0/0"),
      action: "block",
      priority: 4_000_000_000,
    },
    { direction: "fwd", src: prefix("fd00:173::/64"), dst: prefix("::/0"), action: "block", priority: 4_000_000_000 },
    { direction: "out", src: prefix("::/0"), dst: prefix("fd00:9::/64"), action: "allow", priority: 3_900_000_000 },
  ];

  test("a policy is, byte for byte, the one that iproute2 makes", async () => {
    const shown = (): string =>
      run("ip -s xfrm policy")
        .replace(/index \d+|add \d{4}-\S+ \S+ use \S+( \S+)?/g, "-")
        .replace(/ +$/gm, "");
    for (const { direction, src, dst, action, priority } of policies) {
      run(`ip xfrm policy add src ${src} dst ${dst} dir ${direction} priority ${priority} action ${action}`);
    }
    const theirs = shown();
    run("ip xfrm policy flush");
    for (const policy of policies) await addPolicy(xfrm, policy);
    expect(shown()).toBe(theirs);
    expect(theirs.match(/action block/g)).toHaveLength(3);
  });

  test("policies read as they were written, without templates and interface", async () => {
    for (const policy of policies) await addPolicy(xfrm, policy);
    const ours = await listPolicies(xfrm);
    expect(ours).toHaveLength(policies.length);
    expect(ours).toEqual(expect.arrayContaining(policies.map((policy) => ({ ...policy, templates: 0 }))));
  });

  test("a policy of an IKE daemon is read with its templates and interface", async () => {
    run(`ip xfrm policy add src 10.173.0.5/32 dst 10.173.0.0/16 dir out priority 375423 if_id 77 \
      tmpl src 10.9.0.1 dst 10.9.0.254 proto esp reqid 1 mode tunnel`);
    expect(await listPolicies(xfrm)).toEqual([
      {
        direction: "out",
        src: "10.173.0.5/32",
        dst: "10.173.0.0/16",
        action: "allow",
        priority: 375_423,
        templates: 1,
        ifId: 77,
      },
    ]);
  });

  test("the ensuring verbs say whether they changed something, and overwrite nothing", async () => {
    const [block] = policies as [WantedPolicy];
    expect(await ensurePolicy(xfrm, block)).toBe(true);
    expect(await ensurePolicy(xfrm, { ...block, action: "allow", priority: 1 })).toBe(false);
    expect(await listPolicies(xfrm)).toEqual([{ ...block, templates: 0 }]);
    expect(await ensureNoPolicy(xfrm, block)).toBe(true);
    expect(await ensureNoPolicy(xfrm, block)).toBe(false);
    await expect(removePolicy(xfrm, block)).rejects.toMatchObject({
      errno: "ENOENT",
      operation: "remove the XFRM policy dir out from 0.0.0.0/0 to 10.173.0.0/16",
    });
  });

  test("a block policy drops: a packet to the prefix is refused, others pass", async () => {
    const { index } = await pair();
    await setLink(nl, 1, { up: true });
    run("ip address add 10.173.0.1/16 dev p0 && ip address add 10.9.0.1/16 dev p0");
    expect(index).toBeGreaterThan(1);
    const ping = (destination: string): boolean => {
      try {
        run(`ping -c 1 -W 1 -q ${destination} >/dev/null 2>&1`);
        return true;
      } catch {
        return false;
      }
    };
    expect(ping("10.173.0.1")).toBe(true);
    // Loopback traffic is exempt only by lo's own disable_policy, which covers incoming packets.
    await addPolicy(xfrm, policies[0] as WantedPolicy);
    expect(ping("10.173.0.9")).toBe(false);
    expect(ping("10.9.0.1")).toBe(true);
    expect(run("cat /proc/self/net/xfrm_stat")).toMatch(/XfrmOutPolBlock\s+[1-9]/);
  });

  test("states read as iproute2 reads them", async () => {
    expect(await listStates(xfrm)).toEqual([]);
    // A kernel without ESP can still reserve an SPI, which makes a state that waits for its keys.
    run("ip xfrm state allocspi src 10.9.0.1 dst 10.9.0.254 proto esp reqid 7 mode tunnel min 4096 max 4200");
    run("ip xfrm state allocspi src fd00::1 dst fd00::fe proto esp reqid 8 mode tunnel min 4096 max 4200");
    const spis = [...run("ip xfrm state").matchAll(/spi (0x[0-9a-f]+)/g)].map(([, spi]) => Number(spi));
    const states = await listStates(xfrm);
    expect(states).toHaveLength(2);
    expect(states).toEqual(
      expect.arrayContaining([
        { spi: expect.any(Number), src: "10.9.0.1", dst: "10.9.0.254", protocol: 50, reqid: 7 },
        { spi: expect.any(Number), src: "fd00::1", dst: "fd00::fe", protocol: 50, reqid: 8 },
      ]),
    );
    expect(states.map(({ spi }) => spi).sort()).toEqual(spis.sort());
  });
});

describe("waiting", () => {
  test("ends when the address comes, on a link that did not exist when the wait began", async () => {
    const found = waitForAddress(nl, { address: address("10.173.0.5"), ifname: "tun7" }, { timeout: 5000 });
    await addLink(nl, { kind: "veth", name: "tun7", peer: "p1" });
    const { index } = await link("tun7");
    run("ip address add 10.173.0.6/32 dev p1 && ip address add 10.173.0.5/32 dev p1"); // another address, another link
    run("ip address add 10.173.0.5/32 dev tun7");
    expect(await found).toMatchObject({ index, address: "10.173.0.5", prefixLength: 32 });
  });

  test("ends at once for an address that is there, on any link", async () => {
    const { index } = await pair();
    run("ip address add fd00::5/64 dev p0 nodad");
    const found = await waitForAddress(nl, { address: address("fd00::5") }, { timeout: 10_000 });
    expect(found.index).toBe(index);
  });

  test("goes on for an IPv6 address until duplicate address detection is over", async () => {
    const { index } = await pair();
    await addAddress(nl, { index, address: address("fd00::5"), prefixLength: 64, scope: "universe", flags: [] });
    const [tentative] = (await listAddresses(nl, index)).filter(({ address }) => address === "fd00::5");
    expect(tentative?.flags).toContain("tentative");
    const found = await waitForAddress(nl, { address: address("fd00::5"), ifname: "p0" }, { timeout: 10_000 });
    expect(found.flags).toEqual(["permanent"]);
  });

  test("breaks off when duplicate address detection finds another host", async () => {
    await pair();
    run("ip address add fd00::5/64 dev p1 nodad");
    const found = waitForAddress(nl, { address: address("fd00::5"), ifname: "p0" }, { timeout: 10_000 });
    run("ip address add fd00::5/64 dev p0");
    await expect(found).rejects.toMatchObject({ errno: "EADDRINUSE" });
  });

  test("for a link ends when it is up", async () => {
    const found = waitForLink(nl, "tun7", { timeout: 5000 });
    await addLink(nl, { kind: "veth", name: "tun7", peer: "p1" });
    await setLink(nl, (await link("tun7")).index, { up: true });
    expect(await found).toMatchObject({ name: "tun7", up: true });
  });

  test("has a bound, and says what was waited for", async () => {
    await expect(waitForAddress(nl, { address: address("10.0.0.1"), ifname: "eth9" }, { timeout: 50 })).rejects.toThrow(
      "cannot find the address 10.0.0.1 on eth9: not there within 50 ms (ETIMEDOUT)",
    );
  });

  test("survives more notifications than the socket can hold", async () => {
    await pair();
    const found = waitForAddress(nl, { address: address("10.173.0.5") }, { timeout: 30_000 });
    const noise = Array.from({ length: 3000 }, (_, n) => `address add 10.20.${n >> 8}.${n & 255}/32 dev p0`);
    // Synchronous: while it runs nothing is read, and the socket overflows (ENOBUFS) before the address comes.
    const input = [...noise, "address add 10.173.0.5/32 dev p0"].join("\n");
    bare.exec(["ip", "-batch", "-"], input);
    expect(await found).toMatchObject({ address: "10.173.0.5" });
  });
});

describe("a socket", () => {
  test("stays in the namespace in which it was opened", async () => {
    await addLink(nl, { kind: "bridge", name: "br7" });
    using here = openRoute();
    expect(await getLink(here, "br7")).toBeUndefined();
    expect(await getLink(nl, "br7")).toBeDefined();
  });

  test("answers many requests at once", async () => {
    const { index } = await pair();
    const numbers = Array.from({ length: 200 }, (_, n) => n);
    const entry = (n: number): LinkAddress => ({
      index,
      address: address(`10.30.0.${n}`),
      prefixLength: 32,
      scope: "universe",
      flags: [],
    });
    await Promise.all(numbers.map((n) => addAddress(nl, entry(n))));
    const lists = await Promise.all(numbers.slice(0, 20).map(() => listAddresses(nl, index)));
    for (const list of lists) expect(list.filter(({ address }) => address.startsWith("10.30."))).toHaveLength(200);
  });

  test("does not keep the process alive, also while it is subscribed", () => {
    const { status, stdout } = program(
      "nl.subscribe([1], () => {}); await listLinks(nl); process.stdout.write('end');",
    );
    expect({ status, stdout }).toEqual({ status: 0, stdout: "end" });
  });

  test("whose listener throws ends the process with its exception, not with SIGABRT from the addon", () => {
    const { signal, status, stderr } = program(
      "nl.subscribe([1], () => { throw new Error('of the listener'); }); await addLink(nl, { kind: 'bridge', name: 'br8' });",
    );
    expect({ signal, status }).toEqual({ signal: null, status: 1 });
    expect(stderr).toContain("Error: of the listener");
  });

  test("tells who wants others' changes alone of those by ip(8), and not of our own over whichever socket", async () => {
    const all: string[] = [];
    const others: string[] = [];
    const { index } = await pair();
    nl.subscribe([Group.ipv4Address], () => all.push("told"));
    nl.subscribe([Group.ipv4Address], () => others.push("told"), { othersOnly: true });
    using second = inNetns(bare.netns, openRoute);
    const entry = { index, prefixLength: 32, scope: "universe", flags: [] } as const;
    await addAddress(nl, { ...entry, address: address("10.40.0.1") });
    await addAddress(second, { ...entry, address: address("10.40.0.2") });
    await eventually("two changes are told", 5000, () => all.length === 2);
    expect(others).toEqual([]);
    run("ip address add 10.40.0.3/32 dev p0");
    await eventually("the third is told to both", 5000, () => all.length === 3 && others.length === 1);
  });

  test("is refused after it was closed", async () => {
    nl.close();
    await expect(listLinks(nl)).rejects.toMatchObject({ errno: "ECANCELED" });
  });
});
