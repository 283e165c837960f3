import type { CallOptions } from "./call.ts";
import {
  converseWithLog,
  given,
  type LoggedOptions,
  readTerminated,
  type SaSelector,
  selector,
  succeeded,
} from "./commands.ts";
import { type Conn, readConns } from "./conns.ts";
import { readStats, readVersion, type Stats, type Version } from "./daemon.ts";
import { ViciError } from "./errors.ts";
import { EventQueue, MAX_QUEUED } from "./event-queue.ts";
import { integer, requiredText } from "./fields.ts";
import type { LogLine } from "./log.ts";
import type { Message, Scalar, Section } from "./message.ts";
import { type Policy, readPolicies } from "./policies.ts";
import { type Pool, readPools } from "./pools.ts";
import { type IkeSa, readIkeSas } from "./sas.ts";
import type { Session } from "./session.ts";
import type { Subscription } from "./subscription.ts";

/**
 * A connection to charon. One command at a time is on its way, the others wait in order: for what must not wait behind
 * an `initiate`, open a second connection.
 * Requests use VICI's own key names (swanctl.conf(5)), answers of typed commands are in camelCase.
 * Every method rejects with {@link ViciError}; typed ones with {@link ViciCommandError} when charon refuses.
 */
export class Vici implements AsyncDisposable {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Any command; the answer as it is, also one that says `success = no`. */
  request(command: string, message?: Section | Message, options?: CallOptions): Promise<Message> {
    return this.#session.request(command, message ?? {}, options ?? {});
  }

  /**
   * Any command that answers by events (`list-sas` by `list-sa`, …). Nothing is sent before the loop begins; then events
   * are taken as they come, however slow the loop is, and leaving it is safe.
   * @throws ViciCommandError at the end of the loop when the answer says `success = no`.
   */
  async *stream(
    command: string,
    event: string,
    message?: Section | Message,
    options?: CallOptions,
  ): AsyncGenerator<Message, void, undefined> {
    const events = new EventQueue<Message>();
    const overflow = new ViciError("OVERFLOW", `${command}: over ${MAX_QUEUED} bytes of events wait to be read`);
    this.#session
      .converse(command, event, message ?? {}, options ?? {}, (received, size) => {
        if (!events.push(received, size)) throw overflow;
      })
      .then((answer) => succeeded(command, answer, []))
      .then(
        () => events.end(),
        (error) => events.fail(error),
      );
    try {
      for (let next = await events.next(); !next.done; next = await events.next()) yield next.value;
    } finally {
      events.end();
    }
  }

  /**
   * Events as they happen: `ike-updown`, `child-updown`, `ike-rekey`, `child-rekey`, `ike-update`, `log`, …
   * Resolves when charon has confirmed: whatever is done after it, is seen. The signal also ends the subscription.
   * @throws ViciError `UNKNOWN_EVENT` when this charon lacks one of them.
   */
  subscribe(events: readonly string[], options?: CallOptions): Promise<Subscription> {
    return this.#session.subscribe(events, options ?? {});
  }

  async version(options?: CallOptions): Promise<Version> {
    return readVersion(await this.request("version", {}, options));
  }

  async stats(options?: CallOptions): Promise<Stats> {
    return readStats(await this.request("stats", {}, options));
  }

  /** Re-reads strongswan.conf: loggers and most options, not plugins, threads, sockets. */
  async reloadSettings(options?: CallOptions): Promise<void> {
    await this.#command("reload-settings", {}, options);
  }

  /** Loads a connection, in place of one of that name; the SAs of that one stay. */
  async loadConn(name: string, connection: Section, options?: CallOptions): Promise<void> {
    await this.#command("load-conn", { [name]: connection }, options);
  }

  async unloadConn(name: string, options?: CallOptions): Promise<void> {
    await this.#command("unload-conn", { name }, options);
  }

  /** Names of the connections that were loaded over VICI. */
  async getConns(options?: CallOptions): Promise<string[]> {
    return (await this.request("get-conns", {}, options)).list("conns");
  }

  /** All connections, or the one named `ike`. */
  async *listConns(select?: { readonly ike?: string }, options?: CallOptions): AsyncGenerator<Conn, void, undefined> {
    const request = given({ ike: select?.ike });
    for await (const event of this.stream("list-conns", "list-conn", request, options)) yield* readConns(event);
  }

  /** Loads a secret, in place of one of that id. Without `owners` it is for anyone. */
  async loadShared(
    secret: {
      readonly id: string;
      /** IKE, EAP, XAUTH, NTLM */
      readonly type: string;
      readonly data: Scalar;
      /** Identities; a PSK is used between two when it has an owner in common with them. */
      readonly owners?: readonly string[] | undefined;
    },
    options?: CallOptions,
  ): Promise<void> {
    const { id, type, data, owners } = secret;
    await this.#command("load-shared", given({ id, type, data, owners }), options);
  }

  async unloadShared(id: string, options?: CallOptions): Promise<void> {
    await this.#command("unload-shared", { id }, options);
  }

  /** Ids of the secrets; never the secrets. */
  async getShared(options?: CallOptions): Promise<string[]> {
    return (await this.request("get-shared", {}, options)).list("keys");
  }

  /**
   * Loads a private key, PEM or DER, not encrypted. Returns its id: the hexadecimal SHA-1 of the bits of the public key
   * (RFC 5280, section 4.2.1.2, method 1).
   */
  async loadKey(
    key: {
      /** rsa, ecdsa, or any; `any` for ed25519. */
      readonly type: string;
      readonly data: Scalar;
    },
    options?: CallOptions,
  ): Promise<string> {
    return requiredText(await this.#command("load-key", given({ type: key.type, data: key.data }), options), "id");
  }

  /** Ids of the private keys: see {@link loadKey}. */
  async getKeys(options?: CallOptions): Promise<string[]> {
    return (await this.request("get-keys", {}, options)).list("keys");
  }

  /** Loads a certificate, PEM or DER. */
  async loadCert(
    cert: {
      /** X509, X509_AC, X509_CRL */
      readonly type: string;
      /** NONE, CA, AA, OCSP */
      readonly flag?: string | undefined;
      readonly data: Scalar;
    },
    options?: CallOptions,
  ): Promise<void> {
    await this.#command("load-cert", given({ type: cert.type, flag: cert.flag, data: cert.data }), options);
  }

  /** Drops all secrets, keys and certificates that were loaded over VICI. */
  async clearCreds(options?: CallOptions): Promise<void> {
    await this.#command("clear-creds", {}, options);
  }

  /**
   * Loads a pool of virtual IPs.
   * @param pool `addrs`: a prefix or a range `a-b`; other keys are attributes: `dns`, `nbns`, …
   */
  async loadPool(name: string, pool: Section & { readonly addrs: string }, options?: CallOptions): Promise<void> {
    await this.#command("load-pool", { [name]: pool }, options);
  }

  /** Refused while an address of it is in use. */
  async unloadPool(name: string, options?: CallOptions): Promise<void> {
    await this.#command("unload-pool", { name }, options);
  }

  async getPools(
    select?: { readonly leases?: boolean; readonly name?: string },
    options?: CallOptions,
  ): Promise<Pool[]> {
    const request = given({ leases: select?.leases, name: select?.name });
    return readPools(await this.request("get-pools", request, options));
  }

  /**
   * Brings up a child, and its IKE_SA where there is none. Resolves, with charon's log, when the child is installed.
   * A child that is up already is refused ("due to existing duplicate" in the log): look with {@link listSas} first.
   * When the time is over, or the signal aborts it, charon goes on trying: {@link terminate} it, with `force`. Until
   * charon answers, the connection is busy with it; each one unanswered holds a thread of charon.
   * @throws ViciCommandError whose `errmsg` is generic; the reason is in its `log`.
   */
  async initiate(
    options: LoggedOptions & {
      readonly ike: string;
      readonly child: string;
      /** Milliseconds that charon is given, over 0. */
      readonly timeout: number;
    },
  ): Promise<LogLine[]> {
    const request = given({ child: options.child, ike: options.ike });
    const { answer, log } = await converseWithLog(this.#session, "initiate", request, options.timeout, options);
    succeeded("initiate", answer, log);
    return log;
  }

  /**
   * Ends SAs. That there are none is no failure, but zeros.
   * @throws ViciCommandError when some are left.
   */
  async terminate(
    options: LoggedOptions &
      SaSelector & {
        /** Do not wait for the peer's answer; with `timeout`, for no longer than that. */
        readonly force?: boolean | undefined;
        /** Milliseconds that charon is given, over 0. Without it the call's deadline is 5 s, and charon's none. */
        readonly timeout?: number | undefined;
      },
  ): Promise<{ matches: number; terminated: number }> {
    const request = { ...selector(options), ...given({ force: options.force }) };
    const { answer, log } = await converseWithLog(this.#session, "terminate", request, options.timeout, options);
    const result = readTerminated(answer);
    if (answer.text("matches") !== "0") succeeded("terminate", answer, log);
    return result;
  }

  /** Starts the rekeying of SAs; resolves before it is done. Refused when none matches. */
  async rekey(select: SaSelector & { readonly reauth?: boolean }, options?: CallOptions): Promise<{ matches: number }> {
    const request = { ...selector(select), ...given({ reauth: select.reauth }) };
    return { matches: integer(await this.#command("rekey", request, options), "matches") ?? 0 };
  }

  /** Installs the trap, bypass or drop policy of a child. */
  async install(select: { readonly child: string; readonly ike?: string }, options?: CallOptions): Promise<void> {
    await this.#command("install", given({ child: select.child, ike: select.ike }), options);
  }

  async uninstall(select: { readonly child: string; readonly ike?: string }, options?: CallOptions): Promise<void> {
    await this.#command("uninstall", given({ child: select.child, ike: select.ike }), options);
  }

  /**
   * The IKE_SAs, each with its CHILD_SAs.
   * @param select With `noblock` an SA that charon works on at that moment is left out, silently; without it the call may
   * have to wait for it.
   */
  async *listSas(
    select?: SaSelector & { readonly noblock?: boolean },
    options?: CallOptions,
  ): AsyncGenerator<IkeSa, void, undefined> {
    const request = { ...selector(select ?? {}), ...given({ noblock: select?.noblock }) };
    for await (const event of this.stream("list-sas", "list-sa", request, options)) yield* readIkeSas(event);
  }

  /** Installed policies of the kinds asked for; of none when none is. */
  async *listPolicies(
    select: {
      readonly pass?: boolean;
      readonly trap?: boolean;
      readonly drop?: boolean;
      readonly ike?: string;
      readonly child?: string;
    },
    options?: CallOptions,
  ): AsyncGenerator<Policy, void, undefined> {
    const { pass, trap, drop, ike, child } = select;
    const request = given({ pass, trap, drop, ike, child });
    for await (const event of this.stream("list-policies", "list-policy", request, options)) yield* readPolicies(event);
  }

  /** Ends the connection at once; what waits for an answer fails with `CLOSED`. */
  close(): void {
    this.#session.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #command(command: string, request: Section, options: CallOptions | undefined): Promise<Message> {
    return succeeded(command, await this.request(command, request, options), []);
  }
}
