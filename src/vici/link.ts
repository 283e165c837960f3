import type { Duplex } from "node:stream";
import { ViciError, type ViciErrorCode } from "./errors.ts";
import type { Message } from "./message.ts";
import { decodePacket, type Packet } from "./packet.ts";
import { SegmentDecoder } from "./segments.ts";

/** What a link tells whoever made it. */
export interface LinkEvents {
  /** @param size Bytes that the event took on the wire. */
  event(name: string, message: Message, size: number): void;
  /** The connection is gone; called once. @param loss Makes the failure of what depended on it. */
  lost(loss: (what: string) => ViciError): void;
}

/** What is asked of charon: a command, or to register or unregister an event. */
export interface Question {
  readonly kind: "command" | "event";
  readonly name: string;
  readonly segment: Uint8Array;
}

/** An answer that is awaited. */
interface Awaited {
  readonly question: Question;
  readonly resolve: (message: Message | undefined) => void;
  readonly reject: (error: ViciError) => void;
}

interface Loss {
  readonly code: ViciErrorCode;
  readonly why: string;
  readonly options?: ErrorOptions;
}

/**
 * A connection as packets: one question at a time and its answer, with events in between.
 * VICI has no sequence numbers: an answer belongs to the one question that was asked, whoever still waits for it.
 */
export class Link {
  readonly #stream: Duplex;
  readonly #events: LinkEvents;
  readonly #decoder = new SegmentDecoder();
  #awaited: Awaited | undefined;
  #loss: Loss | undefined;

  constructor(stream: Duplex, events: LinkEvents) {
    this.#stream = stream;
    this.#events = events;
    stream.on("data", (piece: Uint8Array) => this.#receive(piece));
    stream.on("end", () => this.#lose({ code: "CLOSED", why: "charon closed the connection" }));
    stream.on("close", () => this.#lose({ code: "CLOSED", why: "the connection was closed" }));
    // ECONNRESET and EPIPE say what the end of the stream says: charon is gone.
    stream.on("error", (cause) =>
      this.#lose({ code: "CLOSED", why: "charon broke the connection", options: { cause } }),
    );
  }

  /** How the connection was lost, as the failure of `what`; undefined while it stands. */
  loss(what: string): ViciError | undefined {
    return this.#loss === undefined ? undefined : lossError(this.#loss, what);
  }

  /**
   * Sends a question and waits for its answer: a command's message, nothing for an event.
   * To be called only when the last one is answered.
   * @throws ViciError `UNKNOWN_COMMAND`, `UNKNOWN_EVENT`, or as the connection is lost.
   */
  ask(question: Question): Promise<Message | undefined> {
    return new Promise((resolve, reject) => {
      const loss = this.loss(question.name);
      if (loss !== undefined) {
        reject(loss);
        return;
      }
      this.#awaited = { question, resolve, reject };
      this.#stream.write(question.segment);
    });
  }

  close(): void {
    this.#lose({ code: "CLOSED", why: "the connection was closed by close()" });
  }

  #receive(piece: Uint8Array): void {
    try {
      for (const body of this.#decoder.push(piece)) this.#dispatch(decodePacket(body), body.length);
    } catch (cause) {
      const why = cause instanceof ViciError ? cause.message : "what it sent could not be handled";
      this.#lose({ code: "PROTOCOL", why: `charon does not speak VICI: ${why}`, options: { cause } });
    }
  }

  #dispatch(packet: Packet, size: number): void {
    if (this.#loss !== undefined) return;
    switch (packet.type) {
      case "EVENT":
        this.#events.event(packet.name, packet.message, size);
        break;
      case "CMD_RESPONSE":
        this.#answered(packet.type, "command").resolve(packet.message);
        break;
      case "EVENT_CONFIRM":
        this.#answered(packet.type, "event").resolve(undefined);
        break;
      case "CMD_UNKNOWN": {
        const { question, reject } = this.#answered(packet.type, "command");
        reject(new ViciError("UNKNOWN_COMMAND", `${question.name}: this charon has no such command`));
        break;
      }
      case "EVENT_UNKNOWN": {
        const { question, reject } = this.#answered(packet.type, "event");
        reject(new ViciError("UNKNOWN_EVENT", `${question.name}: this charon has no such event`));
        break;
      }
      default:
        throw new ViciError("PROTOCOL", `${packet.type}, which only a client sends`);
    }
  }

  #answered(type: Packet["type"], kind: Question["kind"]): Awaited {
    const awaited = this.#awaited;
    if (awaited?.question.kind !== kind) throw new ViciError("PROTOCOL", `${type} to no question`);
    this.#awaited = undefined;
    return awaited;
  }

  #lose(loss: Loss): void {
    if (this.#loss !== undefined) return;
    this.#loss = loss;
    this.#stream.destroy();
    const awaited = this.#awaited;
    this.#awaited = undefined;
    awaited?.reject(lossError(loss, awaited.question.name));
    this.#events.lost((what) => lossError(loss, what));
  }
}

function lossError({ code, why, options }: Loss, what: string): ViciError {
  return new ViciError(code, `${what}: ${why}`, options);
}
