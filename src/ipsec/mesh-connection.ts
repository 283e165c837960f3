import type { Section } from "vici";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { spread } from "./connection.ts";
import { fingerprint, type MeshName, meshReqid, type TrapName, trapNameText } from "./mesh-name.ts";
import type { DataPlane } from "./strongswan-conf.ts";

/** Name of the child of each connection of the mesh, and of the connections that only install policies. */
export const MESH_CHILD = "mesh";
const TRAP_CHILD = "trap";

/** How two nodes prove who they are, as far as a connection tells it: secrets are loaded by themselves. */
export type MeshAuthentication =
  /** Raw public keys, SubjectPublicKeyInfo in base64 (RFC 7670, RFC 8420). */
  | {
      readonly by: "key";
      readonly own: string;
      /** Those that the peer may prove; the first one is the one that it should. */
      readonly peer: readonly [string, ...string[]];
    }
  | { readonly by: "psk" }
  /** @param certificate This node's own, PEM or DER. */
  | { readonly by: "x509"; readonly certificate: Uint8Array };

/** What a connection to a peer is made of. */
export interface MeshConnection {
  readonly peer: string;
  readonly identity: string;
  readonly peerIdentity: string;
  readonly authentication: MeshAuthentication;
  /** Traffic selectors (RFC 7296, section 2.9); sorted, none overlap. */
  readonly local: readonly Prefix[];
  readonly remote: readonly Prefix[];
  /** Where to find the peer; absent: it comes to us. It is let in from anywhere all the same. */
  readonly endpoint?: Address;
  /** This node's addresses to speak from; absent: what the routes say. */
  readonly listen?: readonly Address[];
  readonly dataPlane: DataPlane;
  /** Kernel: the XFRM interface. */
  readonly ifId?: number;
  /** Of the two sides this one brings back what was lost. */
  readonly restarts: boolean;
}

/** The most prefixes of one side: TSi and TSr count them in a byte (RFC 7296, section 3.13). */
export const MOST_SELECTORS = 255;

/** Seconds without traffic before the peer is asked for a sign of life. */
const DPD_DELAY = 5;

/**
 * Kernel ESP: behind charon's own policies (up to 400,000), so that the tunnel of before goes on to be used for sending.
 * Lower numbers win.
 */
const ANSWERING_PRIORITY = "500000";

const PROPOSALS = ["aes128gcm16-prfsha256-x25519"];
const ESP_PROPOSALS = ["aes128gcm16-x25519"];

/** For `MeshName`: what a tunnel is made with, and all the rest but for the endpoint. Pure. */
export function meshFingerprints(connection: MeshConnection): Pick<MeshName, "tunnel" | "rest"> {
  const { identity, peerIdentity, authentication, local, remote, dataPlane, ifId, restarts, listen } = connection;
  const [proven, accepted] = provenAndAccepted(authentication);
  const tunnel = [identity, peerIdentity, proven, local, remote, dataPlane, ifId ?? 0, PROPOSALS, ESP_PROPOSALS];
  return {
    tunnel: fingerprint(JSON.stringify(tunnel)),
    rest: fingerprint(JSON.stringify([accepted, restarts, listen ?? [], DPD_DELAY])),
  };
}

/** What a tunnel was proven by, on both sides; and what else would be taken. */
function provenAndAccepted(authentication: MeshAuthentication): readonly [proven: string[], accepted: string[]] {
  switch (authentication.by) {
    case "key":
      return [["key", authentication.own, authentication.peer[0]], [...authentication.peer]];
    case "x509":
      return [["x509", Buffer.from(authentication.certificate).toString("base64")], []];
    case "psk":
      return [["psk"], []];
  }
}

/**
 * The VICI section of a connection to a peer (swanctl.conf(5), `connections`). Pure.
 *
 * Nothing starts by itself when it is loaded: a connection that is changed with `start` cuts its tunnels, and two sides
 * that start end with two. Nothing starts when the peer closes, either: what is replaced must not come back.
 *
 * A tunnel that takes the place of another must not be used for sending by the side that answers until the other side
 * has it. In the kernel its policies are put behind those of before. libipsec (5.9.8) sorts policies only by kind, and of
 * one kind the newest wins; so the child of the side that answers installs none, and {@link meshTrap} has them.
 */
export function meshConnection(connection: MeshConnection, name: MeshName): Section {
  const { identity, peerIdentity, authentication, endpoint, listen, dataPlane, ifId, restarts } = connection;
  const answers = name.role === "answers";
  const child = childOf(connection, reqidOf(name, dataPlane));
  return {
    version: "2",
    ...(listen === undefined ? {} : { local_addrs: [...listen] }),
    remote_addrs: [...(endpoint === undefined ? [] : [endpoint]), "0.0.0.0/0", "::/0"],
    proposals: PROPOSALS,
    mobike: "no",
    encap: dataPlane === "userspace" ? "yes" : "no",
    dpd_delay: `${spread(DPD_DELAY, connection.peer)}s`,
    // Only one side goes on for ever: two would end with two tunnels.
    keyingtries: restarts ? "0" : "1",
    // Two tunnels stand side by side while one takes the place of the other. A charon that has none tells the peer to
    // drop what it has (INITIAL_CONTACT), save where the kernel still carries that.
    unique: dataPlane === "kernel" ? "never" : "no",
    rekey_time: "4h",
    ...(ifId === undefined ? {} : { if_id_in: String(ifId), if_id_out: String(ifId) }),
    local: { auth: authentication.by === "psk" ? "psk" : "pubkey", id: identity, ...ownProof(authentication) },
    remote: { auth: authentication.by === "psk" ? "psk" : "pubkey", id: peerIdentity, ...peerProof(authentication) },
    children: { [MESH_CHILD]: { ...child, ...(answers ? ANSWERING[dataPlane] : {}) } },
  };
}

/**
 * In the kernel all tunnels of a peer have the same: a packet is accepted by whichever of them it came only as long as the
 * one policy that there is for it names that reqid (xfrm_policy_check), and what is sent goes by the policy's SPI.
 */
function reqidOf(name: MeshName, dataPlane: DataPlane): number {
  const { number } = name;
  return meshReqid(dataPlane === "kernel" ? { number, generation: 0, role: "answers" } : name);
}

const ANSWERING: Readonly<Record<DataPlane, Section>> = {
  kernel: { priority: ANSWERING_PRIORITY },
  userspace: { policies: "no" },
};

/**
 * The VICI section of the connection that holds the policies of a side that answers, with libipsec. They are of the lesser
 * kind (a trap's), and lead to the newest tunnel that this side answered, by their common reqid: what it initiated itself
 * has policies of its own, of the greater kind. A connection to nobody, that no peer will ever match. Pure.
 */
export function meshTrap(connection: MeshConnection, name: TrapName): Section {
  const nobody = { auth: "psk", id: trapNameText(name) };
  const reqid = meshReqid({ number: name.number, generation: 0, role: "answers" });
  return {
    version: "2",
    // A trap wants one. The packets go where the tunnel goes.
    remote_addrs: ["127.0.0.1"],
    encap: "yes",
    keyingtries: "1",
    local: nobody,
    remote: nobody,
    children: { [TRAP_CHILD]: { ...childOf(connection, reqid), dpd_action: "clear", start_action: "trap" } },
  };
}

/** For `TrapName`. Pure. */
export function selectorsFingerprint({ local, remote }: Pick<MeshConnection, "local" | "remote">): string {
  return fingerprint(JSON.stringify([local, remote]));
}

function childOf({ local, remote, restarts }: MeshConnection, reqid: number): Section {
  return {
    local_ts: [...local],
    remote_ts: [...remote],
    esp_proposals: ESP_PROPOSALS,
    reqid: String(reqid),
    start_action: "none",
    close_action: "none",
    dpd_action: restarts ? "restart" : "clear",
    rekey_time: "1h",
  };
}

function ownProof(authentication: MeshAuthentication): Section {
  if (authentication.by === "key") return { pubkeys: [publicKeyPem(authentication.own)] };
  return authentication.by === "x509" ? { certs: [authentication.certificate] } : {};
}

function peerProof(authentication: MeshAuthentication): Section {
  return authentication.by === "key" ? { pubkeys: authentication.peer.map(publicKeyPem) } : {};
}

/** RFC 7468, section 13. */
function publicKeyPem(base64: string): string {
  const lines = base64.match(/.{1,64}/g) ?? [];
  return ["-----BEGIN PUBLIC KEY-----", ...lines, "-----END PUBLIC KEY-----", ""].join("\n");
}
