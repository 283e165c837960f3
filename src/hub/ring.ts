import type { HubPool } from "../config/hub-pool.ts";
import { type Address, addressBytes, addressFromBytes } from "../net/address.ts";

/** The addresses of pools of one family, each once, in a circle: after the last comes the first. */
export class Ring {
  readonly #parts: readonly Part[];
  readonly size: number;

  /** @param pools None overlaps another; IPv6 ones have at most 2^16 addresses (see `hubSubnet`), IPv4 ones 2^24. */
  constructor(pools: readonly HubPool[]) {
    let start = 0;
    this.#parts = pools.map(({ first, last }) => {
      const [head, tail] = split(first);
      const part = { head, tail, start, size: split(last)[1] - tail + 1 };
      start += part.size;
      return part;
    });
    this.size = start;
  }

  /** Its number from 0, or undefined for an address that no pool has. */
  indexOf(address: Address): number | undefined {
    const [head, tail] = split(address);
    const part = this.#parts.find((one) => one.head === head && tail >= one.tail && tail < one.tail + one.size);
    return part && part.start + tail - part.tail;
  }

  /** The address with this number; numbers go round. */
  at(number: number): Address {
    const index = number % this.size;
    const part = this.#parts.find(({ start, size }) => index < start + size);
    if (part === undefined) throw new RangeError("a ring without addresses");
    const bytes = Buffer.from(part.head, "hex");
    const tail = Buffer.alloc(4);
    tail.writeUInt32BE(part.tail + index - part.start);
    return addressFromBytes(Buffer.concat([bytes, tail]));
  }

  /** How many steps forward it is from one number to another. */
  distance(from: number, to: number): number {
    return (to - from + this.size) % this.size;
  }
}

interface Part {
  /** All of its addresses but for their last 32 bits, in hexadecimal: the same for the whole of a pool. */
  readonly head: string;
  /** The last 32 bits of its first address. */
  readonly tail: number;
  readonly start: number;
  readonly size: number;
}

function split(address: Address): [head: string, tail: number] {
  const bytes = Buffer.from(addressBytes(address));
  const cut = bytes.length - 4;
  return [bytes.toString("hex", 0, cut), bytes.readUInt32BE(cut)];
}
