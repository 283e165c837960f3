import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diffSnapshots } from "../../src/testbed/snapshot.ts";
import { BUILT, DIST } from "./support/cluster.ts";
import { ENCRYPTED, KEY_FILE, Mesh, type MeshNode, PLAIN } from "./support/mesh.ts";

const DIRECTORY = new URL("../../conf-examples/wireguard/", import.meta.url);
const EXAMPLES = readdirSync(DIRECTORY);

/** Where the files beside a network configuration go on the node, by how their names end. */
const FILES: readonly (readonly [ending: string, path: string])[] = [
  [".peers.yaml", "/etc/podvpn/peers.yaml"],
  [".wg.conf", "/etc/wireguard/podvpn0.conf"],
];

let mesh: Mesh;

beforeAll(async () => {
  mesh = await Mesh.create(2);
  for (const { node, privateKey } of mesh.nodes) {
    await node.writeFile("/etc/podvpn/pod.key", `${privateKey}\n`, 0o600);
    await node.writeFile("/etc/podvpn/psk", `${mesh.at(1).privateKey}\n`, 0o600); // 32 bytes are 32 bytes
  }
});
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

test("there are examples for two nodes, dual stack, a chain, a file of peers, one of wg(8), and a device of the pod's own", () => {
  expect(EXAMPLES.sort()).toEqual(["chained", "dual-stack", "peers-file", "pod", "two-nodes", "wg-config"]);
});

describe.each(EXAMPLES)("conf-examples/wireguard/%s", (name) => {
  test("works with the keys filled in: pods on two nodes, encrypted, and nothing left after podvpn uninstall", async () => {
    await using capture = await mesh.testbed.capture();
    const before = await Promise.all(mesh.nodes.map(({ node }) => node.snapshot()));
    const configurations = await Promise.all(mesh.nodes.map((one) => prepare(name, one)));
    const pods = await Promise.all(mesh.nodes.map(({ node }) => node.addPod(name)));
    const results = [];
    for (const [index, pod] of pods.entries()) results.push(await pod.add(configurations[index] ?? {}, BUILT));
    // The last addresses are those of a device of the pod's own, where it has one.
    const targets = (results[1]?.ips ?? []).map(({ address }) => address.replace(/\/\d+$/, ""));
    const reachable = name === "pod" ? targets.slice(-1) : targets;
    for (const target of reachable) expect(await pods[0]?.ping(target, 2)).toBe(true);
    for (const [index, pod] of pods.entries()) {
      await pod.check(configurations[index] ?? {}, BUILT);
      await pod.del(configurations[index] ?? {}, BUILT);
      await pod.remove();
    }
    await capture.sync();
    expect(await capture.count(`${PLAIN} or net 10.8.0.0/24`)).toBe(0);
    expect(await capture.count(`${ENCRYPTED} or udp port 51821`)).toBeGreaterThan(0);
    // The node's device stays, as the default is, until podvpn goes.
    for (const { node } of mesh.nodes) await node.exec([`${DIST}/podvpn`, "uninstall", "--bin-dir", "/run/nowhere"]);
    const after = await Promise.all(mesh.nodes.map(({ node }) => node.snapshot()));
    for (const [index, snapshot] of after.entries()) {
      expect(diffSnapshots(before[index] ?? new Map(), snapshot).filter(isPodvpns)).toEqual([]);
    }
  });
});

/** The node's configuration with the keys filled in; its other files are put where it looks for them. */
async function prepare(example: string, { node, index, privateKey }: MeshNode): Promise<Record<string, unknown>> {
  await node.writeFile(KEY_FILE, `${privateKey}\n`, 0o600); // uninstall takes it, too
  const directory = new URL(`${example}/`, DIRECTORY);
  const names = readdirSync(directory).filter((name) => name.startsWith(`node${index}.`));
  let configuration: Record<string, unknown> | undefined;
  for (const name of names) {
    const text = filled(readFileSync(new URL(name, directory), "utf8"));
    const [, path] = FILES.find(([ending]) => name.endsWith(ending)) ?? [];
    if (path === undefined) configuration = JSON.parse(text);
    else await node.writeFile(path, text, 0o600);
  }
  if (configuration === undefined) throw new Error(`${example} has no configuration for node ${index}`);
  return configuration;
}

/** As a user fills them in, out of `podvpn wg pubkey` and wg(8)'s key files. */
function filled(text: string): string {
  return text.replace(/(PUBLIC|PRIVATE)_KEY_OF_NODE(\d)/g, (_, half: string, index: string) => {
    const node = mesh.at(Number(index));
    return half === "PUBLIC" ? node.publicKey : node.privateKey;
  });
}

/** The bridge plugin keeps its bridge, host-local its directory and the last address: both by design. */
function isPodvpns(difference: string): boolean {
  return !/cni\d|table ip nat|\/var\/lib\/cni\/(networks|cache)|podvpn\.log|\/etc\/|\/var\/lib\/podvpn/.test(
    difference,
  );
}
