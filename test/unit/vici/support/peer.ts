import { type Duplex, duplexPair } from "node:stream";
import {
  connect,
  decodePacket,
  encodePacket,
  encodeSegment,
  type Message,
  type Packet,
  type Section,
  SegmentDecoder,
  type Vici,
} from "vici";
import { expect } from "vitest";
import { recorded } from "./recorded.ts";

/** The other end of a connection, played by a test: it says what the test says, when the test says it. */
export class Peer {
  readonly #stream: Duplex;
  readonly #decoder = new SegmentDecoder();
  readonly #received: Packet[] = [];
  #taken = 0;
  #ended = false;
  #wake = () => {};

  private constructor(stream: Duplex) {
    this.#stream = stream;
    this.#stream.on("error", () => {}); // the client may close in the middle of an answer
    this.#stream.on("data", (piece: Uint8Array) => {
      this.#received.push(...this.#decoder.push(piece).map(decodePacket));
      this.#wake();
    });
    this.#stream.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** A client and the peer that it talks to. */
  static async pair(): Promise<[Vici, Peer]> {
    const [client, peer] = duplexPair();
    return [await connect({ stream: client }), new Peer(peer)];
  }

  /** The client's next packet. */
  async next(): Promise<Packet> {
    for (;;) {
      const packet = this.#received[this.#taken];
      if (packet !== undefined) {
        this.#taken += 1;
        return packet;
      }
      if (this.#ended) throw new Error("the client closed the connection");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Waits for a packet of this type and name. */
  async expect(type: Packet["type"], name: string): Promise<void> {
    expect(await this.next()).toMatchObject({ type, name });
  }

  /** What the client has sent until now, and in some turns of the event loop more. */
  async sent(): Promise<string[]> {
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return this.#received.map((packet) => ("name" in packet ? `${packet.type} ${packet.name}` : packet.type));
  }

  send(packet: Packet<Section | Message>): void {
    this.raw(encodeSegment(encodePacket(packet)));
  }

  respond(message: Section): void {
    this.send({ type: "CMD_RESPONSE", message });
  }

  event(name: string, message: Section): void {
    this.send({ type: "EVENT", name, message });
  }

  confirm(): void {
    this.send({ type: "EVENT_CONFIRM" });
  }

  raw(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  /** As when charon ends. */
  end(): void {
    this.#stream.end();
  }
}

/**
 * A client whose charon gives the recorded answers of `exchange`. `done` resolves when the client has said all that was
 * recorded, and rejects at the first byte that differs.
 */
export async function replay(exchange: string): Promise<{ vici: Vici; done: Promise<void> }> {
  const [client, charon] = duplexPair();
  const script = recorded(exchange);
  const done = new Promise<void>((resolve, reject) => {
    const decoder = new SegmentDecoder();
    const answer = () => {
      while (script[0]?.from === "charon") charon.write(script.shift()?.segment);
      if (script.length === 0) resolve();
    };
    charon.on("data", (piece: Uint8Array) => {
      for (const body of decoder.push(piece)) {
        const expected = script.shift();
        const segment = encodeSegment(body);
        if (expected?.segment.equals(segment) !== true) {
          reject(new Error(`said ${segment.toString("latin1")}, recorded ${expected?.segment.toString("latin1")}`));
          charon.end();
        }
      }
      answer();
    });
  });
  return { vici: await connect({ stream: client }), done };
}
