import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import { PLAIN_PAYLOAD } from "../../../src/testbed/traffic.ts";
import { Authority } from "../../netns/support/authority.ts";
import { DriverBed, type DriverKind } from "../../netns/support/driver-bed.ts";
import { reaches } from "../../netns/support/driver-suite.ts";
import { eventually } from "../../netns/support/eventually.ts";
import {
  type IpsecOptions,
  MESH_AUTHORITY,
  MESH_CERTIFICATE,
  MESH_KEY,
  MESH_PSK,
} from "../../netns/support/ipsec-driver.ts";
import { ipsecKind, MESH_CHARON, writeIdentity } from "../../netns/support/ipsec-kind.ts";
import { PLAIN } from "../../netns/support/mesh.ts";

const FILES = { key: MESH_KEY, certificate: MESH_CERTIFICATE, authority: MESH_AUTHORITY };

/** Nodes that prove themselves by something else than raw keys. @param prepare What a node needs on its disk. */
function kindBy(by: IpsecOptions["by"], prepare: (node: Node, identity: string) => Promise<void>): DriverKind {
  const options: IpsecOptions = { dataPlane: "userspace", by };
  return {
    ...ipsecKind("userspace"),
    options,
    async identity(node) {
      const identity = await writeIdentity(node);
      await prepare(node, identity);
      return { ipsec: { identity } };
    },
  };
}

describe("nodes that have a PSK in common", () => {
  test("have tunnels; and one that has another gets none, is told why, and sends nothing in plain", async () => {
    const psk = randomBytes(24).toString("base64");
    const kind = kindBy("psk", (node) => node.writeFile(MESH_PSK, `${psk}\n`, 0o600));
    await using bed = await DriverBed.create(kind, 3);
    await using capture = await bed.testbed.capture(PLAIN);
    const [one, two, three] = [bed.at(1), bed.at(2), bed.at(3)];
    await three.node.writeFile(MESH_PSK, `${randomBytes(24).toString("base64")}\n`, 0o600);
    await bed.applyAll();
    await reaches(one, two);
    expect(await one.pod.ping(three.ips[0] ?? "")).toBe(false);
    await eventually("the node says why", 40_000, async () => {
      const { obstacles } = await one.apply(bed.wanted(one));
      return obstacles.some((obstacle) => /n3 (refuses|has another PSK)/.test(obstacle));
    });
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
    expect(await capture.carries(PLAIN_PAYLOAD)).toBe(false);
    const log = await one.node.readFile(`${MESH_CHARON}/charon.log`);
    expect(log).not.toContain(psk);
    await three.node.writeFile(MESH_PSK, `${psk}\n`, 0o600);
    await bed.applyAll();
    await reaches(one, three);
  });
});

describe("nodes with certificates", () => {
  test("have tunnels when one authority has signed them, whatever their keys are", async () => {
    await using authority = await Authority.create();
    const kind = kindBy("x509", (node, identity) => authority.enrol(node, identity, FILES));
    await using bed = await DriverBed.create(kind, 2);
    await bed.applyAll();
    await reaches(bed.at(1), bed.at(2));
    await reaches(bed.at(2), bed.at(1));
  });

  test("get none from a node whose certificate another authority has signed", async () => {
    await using authority = await Authority.create();
    await using stranger = await Authority.create();
    const kind = kindBy("x509", (node, identity) =>
      (node.name === "n2" ? stranger : authority).enrol(node, identity, FILES),
    );
    await using bed = await DriverBed.create(kind, 2);
    const [one, two] = [bed.at(1), bed.at(2)];
    for (const node of [one, two]) await node.apply(bed.wanted(node));
    await eventually("one of them has refused the other", 20_000, async () => {
      const logs = await Promise.all([one, two].map(({ node }) => node.readFile(`${MESH_CHARON}/charon.log`)));
      return logs.some((log) => /no trusted .* public key found|issuer .* not found/.test(log));
    });
    expect(await one.pod.ping(two.ips[0] ?? "")).toBe(false);
  });
});
