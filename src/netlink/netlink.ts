import { effect } from "../os/effect.ts";
import { concat, readI32, u8 } from "./bytes.ts";
import { NetlinkError, netlinkError } from "./error.ts";
import {
  decodeMessages,
  encodeMessage,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "./message.ts";
import type { Inbox, Transport } from "./transport.ts";

/**
 * Told that something in its groups changed, not what: notifications that come faster than they are read are dropped.
 * The last change is never missed by who then reads the state: when one is dropped, others still wait to be read.
 */
export type Listener = () => void;

/** Whom a {@link Listener} is told of. */
export interface Subscription {
  /**
   * Not of what this process itself has changed: it knows. Of its own changes there may be so many that another's
   * notification is dropped among them: who must not miss that looks now and then as well.
   */
  readonly othersOnly?: boolean;
}

/** One of the changes of a transaction. */
export interface Change {
  readonly type: number;
  /** NLM_F_CREATE and the like, besides those of every request. */
  readonly flags: number;
  readonly body: Uint8Array;
}

interface Exchange {
  readonly operation: string;
  readonly answers: Message[];
  readonly resolve: (answers: Message[]) => void;
  readonly reject: (error: NetlinkError) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Requests and notifications over one netlink socket. It belongs for good to the network namespace that the thread was
 * in when it was opened. It keeps the process alive only while an answer is due.
 */
export class Netlink implements Disposable {
  readonly #transport: Transport;
  readonly #exchanges = new Map<number, Exchange>();
  readonly #listeners = new Map<number, Set<Listener>>();
  readonly #othersOnly = new Set<Listener>();
  #lastDump: Promise<void> = Promise.resolve();
  #sequence = 0;
  #closed = false;

  constructor(connect: (inbox: Inbox) => Transport) {
    this.#transport = connect({
      datagram: (bytes, multicast, isOwn) => this.#receive(bytes, multicast, isOwn),
      failed: (error) => this.#failed(error),
    });
    this.#transport.keepAlive(false);
  }

  /**
   * Changes something in the kernel.
   * @param flags NLM_F_CREATE and the like, besides those of every request.
   * @param operation In words, for the error: "add the link br0".
   * @throws NetlinkError when the kernel refuses.
   */
  async change(type: number, flags: number, body: Uint8Array, operation: string): Promise<void> {
    await this.#exchange(type, NLM_F_ACK | flags, body, operation);
    effect(operation);
  }

  /**
   * Changes several things, or none of them: a batch of nfnetlink (linux/netfilter/nfnetlink.h), as nf_tables wants it.
   * @param subsystem NFNL_SUBSYS_…. @throws NetlinkError as `change`, of the first change that the kernel refuses.
   */
  async transaction(subsystem: number, changes: readonly Change[], operation: string): Promise<void> {
    if (this.#closed) throw closedError(operation);
    const begin = this.#expect(operation);
    const parts = changes.map((change) => ({ ...change, ...this.#expect(operation) }));
    // The kernel answers the begin only to refuse the batch as a whole (EPERM, no such subsystem); then nothing else.
    begin.answers.catch((error) => {
      for (const { sequence } of parts) this.#end(sequence, error);
    });
    const messages = [
      { type: NFNL_MSG_BATCH_BEGIN, flags: 0, sequence: begin.sequence, body: batchHeader(subsystem) },
      ...parts.map(({ type, flags, sequence, body }) => ({ type, flags: flags | NLM_F_ACK, sequence, body })),
      { type: NFNL_MSG_BATCH_END, flags: 0, sequence: 0, body: batchHeader(subsystem) },
    ];
    this.#send(begin.sequence, operation, messages);
    const results = await Promise.allSettled(parts.map(({ answers }) => answers));
    this.#end(begin.sequence, undefined);
    for (const result of results) if (result.status === "rejected") throw result.reason;
    effect(operation);
  }

  /** Reads one thing; undefined only where the kernel answers with nothing. @throws NetlinkError as `change`. */
  async get(type: number, body: Uint8Array, operation: string): Promise<Message | undefined> {
    const [answer] = await this.#exchange(type, NLM_F_ACK, body, operation);
    return answer;
  }

  /**
   * Reads a whole table. Reads again when it changed under the reader's hands. Dumps of one socket are made one after
   * the other: the kernel refuses a second one (EBUSY).
   * @throws NetlinkError as `change`; EINTR when the table never keeps still.
   */
  dump(type: number, body: Uint8Array, operation: string): Promise<Message[]> {
    const dump = this.#lastDump.then(() => this.#readTable(type, body, operation));
    this.#lastDump = dump.then(settled, settled);
    return dump;
  }

  /** Calls `listener` after changes in `groups` (RTNLGRP_…), until disposed of. @throws NetlinkError */
  subscribe(groups: readonly number[], listener: Listener, { othersOnly = false }: Subscription = {}): Disposable {
    if (this.#closed) throw closedError("subscribe");
    const leave = (): void => {
      for (const group of groups) this.#leave(group, listener);
      this.#othersOnly.delete(listener);
    };
    if (othersOnly) this.#othersOnly.add(listener);
    try {
      for (const group of groups) this.#join(group, listener);
    } catch (error) {
      leave();
      throw error;
    }
    return { [Symbol.dispose]: leave };
  }

  /** What is still due is rejected with ECANCELED. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listeners.clear();
    this.#transport.close();
    for (const [sequence, { operation }] of this.#exchanges) this.#end(sequence, closedError(operation));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #readTable(type: number, body: Uint8Array, operation: string): Promise<Message[]> {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt += 1) {
      const answers = await this.#exchange(type, NLM_F_DUMP, body, operation);
      if (!answers.some(({ flags }) => flags & NLM_F_DUMP_INTR)) return answers.slice(0, -1);
    }
    throw new NetlinkError("EINTR", operation, { message: `the table changed during ${DUMP_ATTEMPTS} readings` });
  }

  /** Answers up to the one that ends them: NLMSG_ERROR with value 0 is left out, NLMSG_DONE is the last. */
  #exchange(type: number, flags: number, body: Uint8Array, operation: string): Promise<Message[]> {
    if (this.#closed) return Promise.reject(closedError(operation));
    const { sequence, answers } = this.#expect(operation);
    this.#send(sequence, operation, [{ type, flags, sequence, body }]);
    return answers;
  }

  #expect(operation: string): { readonly sequence: number; readonly answers: Promise<Message[]> } {
    this.#sequence = (this.#sequence % 0xffffffff) + 1; // 0 is what the kernel's own notifications carry
    const sequence = this.#sequence;
    const answers = new Promise<Message[]>((resolve, reject) => {
      const timer = setTimeout(() => this.#end(sequence, silence(operation)), ANSWER_WITHIN_MS);
      this.#exchanges.set(sequence, { operation, answers: [], resolve, reject, timer });
    });
    this.#transport.keepAlive(true);
    return { sequence, answers };
  }

  /** In one datagram; when it cannot be sent, the exchange `sequence` fails. */
  #send(sequence: number, operation: string, messages: readonly Message[]): void {
    const datagram = concat(
      ...messages.map((message) => encodeMessage({ ...message, flags: NLM_F_REQUEST | message.flags })),
    );
    this.#transport.send(datagram, (error) =>
      this.#end(sequence, new NetlinkError(error.errno, operation, { cause: error })),
    );
  }

  #receive(datagram: Uint8Array, multicast: boolean, isOwn: boolean): void {
    if (this.#closed) return;
    if (multicast) {
      this.#notify(isOwn);
      return;
    }
    try {
      for (const message of decodeMessages(datagram)) {
        this.#answer(message);
      }
    } catch (cause) {
      this.#failed(new NetlinkError("EBADMSG", "understand the kernel's answer", { cause }));
    }
  }

  #answer(message: Message): void {
    const exchange = this.#exchanges.get(message.sequence);
    if (exchange === undefined) return; // came after its deadline
    const ends = message.type === NLMSG_ERROR || message.type === NLMSG_DONE;
    if (message.type !== NLMSG_ERROR) exchange.answers.push(message);
    if (!ends) return;
    // Both begin with a negative errno or 0; before Linux 4.13 NLMSG_DONE may be empty.
    const errno = message.body.length >= 4 ? -readI32(message.body, 0) : 0;
    this.#end(message.sequence, errno > 0 ? netlinkError(errno, exchange.operation) : undefined);
  }

  #end(sequence: number, error: NetlinkError | undefined): void {
    const exchange = this.#exchanges.get(sequence);
    if (exchange === undefined) return;
    this.#exchanges.delete(sequence);
    clearTimeout(exchange.timer);
    if (this.#exchanges.size === 0 && !this.#closed) this.#transport.keepAlive(false);
    if (error === undefined) exchange.resolve(exchange.answers);
    else exchange.reject(error);
  }

  #failed(error: NetlinkError): void {
    for (const [sequence, { operation }] of this.#exchanges) {
      this.#end(sequence, new NetlinkError(error.errno, operation, { cause: error }));
    }
  }

  #notify(isOwn: boolean): void {
    // The same listener may have joined several groups: a datagram does not tell which one it was sent to.
    for (const listener of new Set([...this.#listeners.values()].flatMap((set) => [...set]))) {
      if (!isOwn || !this.#othersOnly.has(listener)) listener();
    }
  }

  #join(group: number, listener: Listener): void {
    const listeners = this.#listeners.get(group) ?? new Set();
    if (listeners.size === 0) this.#transport.join(group);
    this.#listeners.set(group, listeners.add(listener));
  }

  #leave(group: number, listener: Listener): void {
    const listeners = this.#listeners.get(group);
    if (!listeners?.delete(listener) || listeners.size > 0) return;
    this.#listeners.delete(group);
    this.#transport.leave(group);
  }
}

/** struct nfgenmsg, with the subsystem in network byte order. */
function batchHeader(subsystem: number): Uint8Array {
  return concat(u8(0), u8(0), u8(subsystem >> 8), u8(subsystem & 0xff));
}

const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;

const DUMP_ATTEMPTS = 10;

/** The kernel answers inside sendmsg(2); only a fault of ours or a stuck kernel lasts this long. */
const ANSWER_WITHIN_MS = 10_000;

function settled(): void {}

function silence(operation: string): NetlinkError {
  return new NetlinkError("ETIMEDOUT", operation, { message: `no answer from the kernel in ${ANSWER_WITHIN_MS} ms` });
}

function closedError(operation: string): NetlinkError {
  return new NetlinkError("ECANCELED", operation, { message: "the netlink socket was closed" });
}
