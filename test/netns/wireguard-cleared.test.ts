import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { podvpn } from "./support/cli.ts";
import { BUILT } from "./support/cluster.ts";
import { failure } from "./support/failed-add.ts";
import { KEY_FILE, Mesh } from "./support/mesh.ts";

let mesh: Mesh;
let node: Node;
/** On the other node: whom pods speak to. */
let peer: Awaited<ReturnType<Mesh["addedPod"]>>;

beforeAll(async () => {
  mesh = await Mesh.create(2);
  ({ node } = mesh.at(1));
  peer = await mesh.addedPod(2, "peer");
});
afterAll(() => mesh?.[Symbol.asyncDispose]());

const clear = () => node.exec(["rm", "-rf", "/run/podvpn"]);
const processes = async () => (await node.exec(["pgrep", "-a", "wireguard-go"], { check: false })).stdout;

describe("a node whose /run/podvpn somebody has cleared", () => {
  test("keeps its tunnels; the next ADD goes on with the same wireguard-go, and a pod from before can be deleted", async () => {
    const configuration = mesh.conf(1);
    await using before = await mesh.addedPod(1, "before");
    const running = await processes();
    await clear();
    expect(await before.pod.ping(peer.ip)).toBe(true);
    expect(await failure(before.pod.check(configuration, BUILT))).toMatchObject({ code: 3 });
    await using after = await mesh.addedPod(1, "after");
    expect(await after.pod.ping(peer.ip)).toBe(true);
    await after.pod.check(configuration, BUILT);
    expect(await processes()).toBe(running);
    await before.pod.del(configuration, BUILT);
    expect(await after.pod.ping(peer.ip)).toBe(true);
  });

  test("is rid of the device, its routes and its guard by podvpn uninstall, also when its name has an underscore", async () => {
    const other = { interface: "wg_a.b", listenPort: 51821, peers: [], privateKeyFile: KEY_FILE };
    for (const [name, configuration] of [
      ["pod", mesh.conf(1)],
      ["other", mesh.conf(1, { name: "other", wireguard: other })],
    ] as const) {
      await using _pod = await mesh.addedPod(1, name, configuration);
    }
    await clear();
    const { code, stdout } = await podvpn(node, "uninstall", "--bin-dir", "/run/nowhere");
    expect({ code, stdout: stdout.split("\n").sort() }).toMatchObject({
      code: 0,
      stdout: expect.arrayContaining(["remove the WireGuard device podvpn0", "remove the WireGuard device wg_a.b"]),
    });
    expect(await processes()).toBe("");
    for (const [command, gone] of [
      [["ip", "-o", "link"], /podvpn0|wg_a/],
      [["ip", "route", "show", "table", "all"], /proto 174/],
      [["ip", "-6", "route", "show", "table", "all"], /proto 174/],
      [["nft", "list", "tables"], /podvpn-mesh/],
      [["ls", "/run"], /podvpn|wireguard/],
    ] as const) {
      expect((await node.exec([...command])).stdout).not.toMatch(gone);
    }
  });
});
