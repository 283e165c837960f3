import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { AgentBed, PLAIN } from "../netns/support/agent-bed.ts";
import { Authority } from "../netns/support/authority.ts";
import { eventually } from "../netns/support/eventually.ts";

let bed: AgentBed;
afterEach(() => bed[Symbol.asyncDispose]());

const PSK = "/etc/podvpn/mesh.psk";
const FILES = { key: "/etc/podvpn/node.key", certificate: "/etc/podvpn/node.pem", authority: "/etc/podvpn/ca.pem" };

/** All nodes have each other, and nothing is plain. */
async function expectMesh(): Promise<void> {
  const capture = await bed.testbed.capture(PLAIN);
  await bed.startAll();
  expect(await bed.pings(1, 2)).toBe(true);
  await capture.sync();
  expect(await capture.packets(PLAIN)).toEqual([]);
  await capture.stop();
}

describe("agents with IPsec", () => {
  test("are a mesh by a PSK that all have; it is shown nowhere, and there are no keys to rotate", async () => {
    const psk = randomBytes(24).toString("base64");
    bed = await AgentBed.create(2, { drivers: ["ipsec"], ipsec: { authentication: "psk", pskFile: PSK } });
    for (const { node } of bed.nodes) await node.writeFile(PSK, `${psk}\n`, 0o600);
    await expectMesh();
    expect(await bed.podvpn(1, "rotate")).toMatchObject({ code: 1, stderr: expect.stringMatching(/by a PSK/) });
    const told = [bed.agent(1).lines.join("\n"), JSON.stringify(await bed.status(1))];
    expect(told.filter((text) => text.includes(psk))).toEqual([]);
  });

  test("are a mesh by certificates of one authority; one that another has signed gets no tunnel, and is told of", async () => {
    await using authority = await Authority.create();
    await using stranger = await Authority.create();
    const { key: privateKeyFile, certificate: certificateFile, authority: caFiles } = FILES;
    const ipsec = { authentication: "x509", privateKeyFile, certificateFile, caFiles };
    bed = await AgentBed.create(2, { drivers: ["ipsec"], ipsec });
    for (const { node } of bed.nodes) await authority.enrol(node, node.name, FILES);
    await expectMesh();
    const { node, index } = await bed.addNode();
    await stranger.enrol(node, node.name, FILES);
    bed.start(index);
    await bed.until(1, "n3 is down", ({ peers }) => peers.some(({ name, state }) => name === "n3" && state === "down"));
    expect(await bed.pings(1, 3)).toBe(false);
    // Whoever asks for the tunnel finds out why it gets none.
    await eventually("the reason is told", 40_000, async () => {
      const statuses = await Promise.all([bed.podvpn(1, "status"), bed.podvpn(index, "status")]);
      return statuses.some(({ stdout }) => /did not prove to be|refuses this node/.test(stdout.replace(/\s+/g, " ")));
    });
    expect(await bed.podvpn(1, "status")).toMatchObject({ code: 1, stdout: expect.stringMatching(/n3 .* down /) });
    expect(await bed.pings(1, 2)).toBe(true);
  });
});
