import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/os/process.ts";
import type { Node } from "../../src/testbed/node.ts";
import { PLAIN_PAYLOAD } from "../../src/testbed/traffic.ts";
import { DriverBed, type DriverKind } from "../netns/support/driver-bed.ts";
import { reaches } from "../netns/support/driver-suite.ts";
import { eventually } from "../netns/support/eventually.ts";
import {
  type IpsecOptions,
  MESH_AUTHORITY,
  MESH_CERTIFICATE,
  MESH_KEY,
  MESH_PSK,
} from "../netns/support/ipsec-driver.ts";
import { ipsecKind, MESH_CHARON, writeIdentity } from "../netns/support/ipsec-kind.ts";
import { PLAIN } from "../netns/support/mesh.ts";

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
    const kind = kindBy("x509", (node, identity) => authority.enrol(node, identity));
    await using bed = await DriverBed.create(kind, 2);
    await bed.applyAll();
    await reaches(bed.at(1), bed.at(2));
    await reaches(bed.at(2), bed.at(1));
  });

  test("get none from a node whose certificate another authority has signed", async () => {
    await using authority = await Authority.create();
    await using stranger = await Authority.create();
    const kind = kindBy("x509", (node, identity) => (node.name === "n2" ? stranger : authority).enrol(node, identity));
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

/** Signs certificates with openssl(1); ed25519, as the nodes' keys. */
class Authority implements AsyncDisposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(): Promise<Authority> {
    const authority = new Authority(await mkdtemp(join(tmpdir(), "podvpn-authority-")));
    const subject = `/CN=mesh ${randomBytes(4).toString("hex")}`;
    await authority.#openssl("genpkey -algorithm ed25519 -out ca.key");
    await authority.#openssl("req -x509 -new -key ca.key -days 2 -out ca.pem -subj", subject);
    return authority;
  }

  /** Makes a key and a certificate for the identity, and puts them where the node has them. */
  async enrol(node: Node, identity: string): Promise<void> {
    await this.#openssl("genpkey -algorithm ed25519 -out node.key");
    await this.#openssl(
      "req -new -key node.key -out node.csr -subj",
      `/CN=${identity}`,
      "-addext",
      `subjectAltName=DNS:${identity}`,
    );
    await this.#openssl("x509 -req -in node.csr -CA ca.pem -CAkey ca.key -days 2 -copy_extensions copy -out node.pem");
    const files = { [MESH_KEY]: "node.key", [MESH_CERTIFICATE]: "node.pem", [MESH_AUTHORITY]: "ca.pem" };
    for (const [path, name] of Object.entries(files)) {
      await node.writeFile(path, await readFile(join(this.#directory, name)), 0o600);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }

  async #openssl(words: string, ...more: readonly string[]): Promise<void> {
    const { code, stderr } = await run("openssl", [...words.split(" "), ...more], {
      timeout: 20_000,
      cwd: this.#directory,
    });
    if (code !== 0) throw new Error(`openssl ${words}: ${stderr}`);
  }
}
