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
  readonly #packets: AsyncGenerator<Packet>;
  readonly #received: Packet[] = [];

  private constructor(stream: Duplex) {
    this.#stream = stream;
    this.#stream.on("error", () => {}); // the client may close in the middle of an answer
    this.#packets = this.#read();
  }

  /** A client and the peer that it talks to. */
  static async pair(): Promise<[Vici, Peer]> {
    const [client, peer] = duplexPair();
    return [await connect({ stream: client }), new Peer(peer)];
  }

  /** The client's next packet. */
  async next(): Promise<Packet> {
    const { value, done } = await this.#packets.next();
    if (done) throw new Error("the client closed the connection");
    return value;
  }

  /** Waits for a packet of this type and name. */
  async expect(type: Packet["type"], name: string): Promise<void> {
    expect(await this.next()).toMatchObject({ type, name });
  }

  /** What the client has sent until now, one turn of the event loop later. */
  async sent(): Promise<string[]> {
    await new Promise((resolve) => setImmediate(resolve));
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

  async *#read(): AsyncGenerator<Packet> {
    const decoder = new SegmentDecoder();
    const pending: Packet[] = [];
    let wake = () => {};
    let ended = false;
    this.#stream.on("data", (piece: Uint8Array) => {
      const packets = decoder.push(piece).map(decodePacket);
      this.#received.push(...packets);
      pending.push(...packets);
      wake();
    });
    this.#stream.on("close", () => {
      ended = true;
      wake();
    });
    for (;;) {
      const packet = pending.shift();
      if (packet !== undefined) yield packet;
      else if (ended) return;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
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
