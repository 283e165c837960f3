import { integer, requiredText } from "./fields.ts";
import type { Message } from "./message.ts";

/** A loaded connection (event `list-conn`). Times are in seconds, 0 is never. */
export interface Conn {
  readonly name: string;
  readonly localAddrs: readonly string[];
  readonly remoteAddrs: readonly string[];
  /** IKEv1, IKEv2, or IKEv1/2. */
  readonly version: string;
  readonly reauthTime?: number | undefined;
  readonly rekeyTime?: number | undefined;
  /** UNIQUE_NO UNIQUE_REPLACE UNIQUE_KEEP UNIQUE_NEVER */
  readonly unique?: string | undefined;
  readonly dpdDelay?: number | undefined;
  /** Rounds of authentication, in order. */
  readonly local: readonly AuthRound[];
  readonly remote: readonly AuthRound[];
  readonly children: readonly ConnChild[];
}

export interface AuthRound {
  /** `pre-shared key`, `public key`, `EAP`, … */
  readonly class: string;
  readonly id?: string | undefined;
  readonly groups: readonly string[];
  readonly certs: readonly string[];
  readonly cacerts: readonly string[];
}

export interface ConnChild {
  readonly name: string;
  /** TUNNEL TRANSPORT BEET PASS DROP */
  readonly mode: string;
  readonly rekeyTime?: number | undefined;
  /** clear, trap, start: what `dpd_action` and `close_action` were understood as. */
  readonly dpdAction?: string | undefined;
  readonly closeAction?: string | undefined;
  /** `dynamic` stands for the address or virtual IP of that side. */
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
}

/** The connections of a `list-conn` event. @throws ViciError `PROTOCOL`. */
export function readConns(message: Message): Conn[] {
  return message.sections().map(([name, conn]) => ({
    name,
    localAddrs: conn.list("local_addrs"),
    remoteAddrs: conn.list("remote_addrs"),
    version: requiredText(conn, "version"),
    reauthTime: integer(conn, "reauth_time"),
    rekeyTime: integer(conn, "rekey_time"),
    unique: conn.text("unique"),
    dpdDelay: integer(conn, "dpd_delay"),
    local: readRounds(conn, "local-"),
    remote: readRounds(conn, "remote-"),
    children: (conn.section("children")?.sections() ?? []).map(([child, section]) => readChild(child, section)),
  }));
}

function readRounds(conn: Message, prefix: "local-" | "remote-"): AuthRound[] {
  return conn
    .sections()
    .filter(([name]) => name.startsWith(prefix))
    .map(([, round]) => ({
      class: requiredText(round, "class"),
      id: round.text("id"),
      groups: round.list("groups"),
      certs: round.list("certs"),
      cacerts: round.list("cacerts"),
    }));
}

function readChild(name: string, child: Message): ConnChild {
  return {
    name,
    mode: requiredText(child, "mode"),
    rekeyTime: integer(child, "rekey_time"),
    dpdAction: child.text("dpd_action"),
    closeAction: child.text("close_action"),
    localTs: child.list("local-ts"),
    remoteTs: child.list("remote-ts"),
  };
}
