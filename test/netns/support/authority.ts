import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../../src/os/process.ts";
import type { Node } from "../../../src/testbed/node.ts";

/** Where a node has what {@link Authority.enrol} makes. */
export interface CertificateFiles {
  readonly key: string;
  readonly certificate: string;
  /** The authority's own certificate. */
  readonly authority: string;
}

/** Signs certificates with openssl(1); ed25519, as the nodes' keys. */
export class Authority implements AsyncDisposable {
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

  /** Makes a key and a certificate for the identity, and puts them where the node is to have them. */
  async enrol(node: Node, identity: string, { key, certificate, authority }: CertificateFiles): Promise<void> {
    await this.#openssl("genpkey -algorithm ed25519 -out node.key");
    await this.#openssl(
      "req -new -key node.key -out node.csr -subj",
      `/CN=${identity}`,
      "-addext",
      `subjectAltName=DNS:${identity}`,
    );
    await this.#openssl("x509 -req -in node.csr -CA ca.pem -CAkey ca.key -days 2 -copy_extensions copy -out node.pem");
    const files = { [key]: "node.key", [certificate]: "node.pem", [authority]: "ca.pem" };
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
