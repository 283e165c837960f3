import { createHash, createPublicKey } from "node:crypto";
import type { Vici } from "vici";
import type { MeshAuthentication } from "../../ipsec/mesh-connection.ts";
import type { Secret } from "../../secret.ts";
import type { KeyPair } from "../identity.ts";
import type { FittingTunnel } from "./fitting.ts";

/** How this node proves who it is, and what others have to prove. */
export type IpsecCredentials =
  /** Raw ed25519 keys: the private one as PKCS #8, the public one as SubjectPublicKeyInfo in base64 (RFC 8410). */
  | { readonly by: "key"; readonly key: KeyPair; readonly next?: KeyPair }
  /** The secret that this node shares with a peer; absent: none. */
  | { readonly by: "psk"; readonly psk: (peer: string) => Secret | undefined }
  /** PEM or DER; `authorities`: who signed the certificates of all nodes. */
  | {
      readonly by: "x509";
      readonly certificate: Uint8Array;
      readonly privateKey: Secret;
      readonly authorities: readonly Uint8Array[];
    };

/** The key that this node proves itself by: the next one as soon as there is one, as its peers accept both. Pure. */
export function provenKey({ key, next }: Extract<IpsecCredentials, { by: "key" }>): KeyPair {
  return next ?? key;
}

/** What a connection to a peer tells of how both prove who they are. Pure. */
export function authenticationWith(credentials: IpsecCredentials, { ipsec }: FittingTunnel): MeshAuthentication {
  switch (credentials.by) {
    case "key": {
      const { publicKey = "", nextPublicKey } = ipsec;
      const peer = nextPublicKey === undefined ? ([publicKey] as const) : ([nextPublicKey, publicKey] as const);
      return { by: "key", own: provenKey(credentials).publicKey, peer };
    }
    case "psk":
      return { by: "psk" };
    case "x509":
      return { by: "x509", certificate: credentials.certificate };
  }
}

/** What charon has been given by this agent: to give it twice does no harm, and for a thousand peers takes its time. */
export class GivenCredentials {
  #secrets = new Map<string, Secret>();

  /** Charon has been started anew, and has nothing. */
  forget(): void {
    this.#secrets.clear();
  }

  /**
   * Gives charon what it does not have from this agent. The other nodes' public keys are in the connections.
   * @throws ViciCommandError when charon does not take it, ViciError when it does not answer.
   */
  async give(vici: Vici, credentials: IpsecCredentials, tunnels: readonly FittingTunnel[]): Promise<void> {
    switch (credentials.by) {
      case "key": {
        const { privateKey, publicKey } = provenKey(credentials);
        await this.#once(publicKey, privateKey, async (data) => {
          const isThere = (await vici.getKeys()).includes(keyId(publicKey));
          if (!isThere) await vici.loadKey({ type: "any", data });
        });
        break;
      }
      case "psk":
        for (const { peer, ipsec } of tunnels) {
          const psk = credentials.psk(peer.name);
          if (psk === undefined) continue;
          // Owned by the peer alone: with this node as an owner, each peer's would prove any peer.
          const owners = [ipsec.identity];
          await this.#once(`psk ${peer.name}`, psk, (data) => {
            return vici.loadShared({ id: `mesh ${peer.name}`, type: "IKE", data, owners });
          });
        }
        break;
      case "x509":
        await this.#once("x509", credentials.privateKey, async (data) => {
          for (const authority of credentials.authorities) {
            await vici.loadCert({ type: "X509", flag: "CA", data: authority });
          }
          await vici.loadKey({ type: "any", data });
        });
    }
  }

  async #once(name: string, secret: Secret, give: (data: Uint8Array) => Promise<void>): Promise<void> {
    const known = this.#secrets.get(name);
    if (known !== undefined && Buffer.compare(known.reveal(), secret.reveal()) === 0) return;
    await give(secret.reveal());
    this.#secrets.set(name, secret);
  }
}

/** What charon knows a key by: SHA-1 of the public key's bits. Pure. @param base64 SubjectPublicKeyInfo. */
export function keyId(base64: string): string {
  const key = createPublicKey({ key: Buffer.from(base64, "base64"), format: "der", type: "spki" });
  const { x = "" } = key.export({ format: "jwk" });
  return createHash("sha1").update(Buffer.from(x, "base64url")).digest("hex");
}
