import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chooseEndpoint,
  type EndpointChoice,
  type EndpointInput,
  type EndpointMemory,
  LONGEST_TRY,
  TRY,
} from "../../../src/agent/endpoints.ts";
import type { Candidate } from "../../../src/mesh/mesh-plan.ts";
import { endpointText } from "../../../src/net/endpoint.ts";
import { address, endpoint } from "./support.ts";

const PRIVATE: Candidate = { host: address("10.9.0.2"), scope: "private" };
const PUBLIC: Candidate = { host: address("192.0.2.2"), scope: "public" };
const NAME: Candidate = { host: "n2.example.org", scope: "public" };
const ROAMED = endpoint("203.0.113.7:40000");

/** A peer that a test turns at. Times are in milliseconds. */
class Peer {
  now = 0;
  memory: EndpointMemory | undefined;
  choice: EndpointChoice | undefined;
  input: Omit<EndpointInput, "now"> = {
    candidates: [PRIVATE, PUBLIC],
    port: 51820,
    resolved: new Map(),
    alive: false,
    current: undefined,
  };

  choose(change: Partial<EndpointInput> = {}): string | undefined {
    this.input = { ...this.input, ...change };
    this.choice = chooseEndpoint(this.memory, { ...this.input, now: this.now });
    this.memory = this.choice.memory;
    return this.choice.endpoint && endpointText(this.choice.endpoint);
  }

  /** What is chosen in `seconds`, asked each second. */
  choices(seconds: number): (string | undefined)[] {
    return Array.from({ length: seconds }, () => {
      const chosen = this.choose();
      this.now += 1000;
      return chosen;
    });
  }
}

const [ONE, TWO] = ["10.9.0.2:51820", "192.0.2.2:51820"];

describe("the endpoint of a peer without a tunnel", () => {
  test("is each candidate in its order, for some seconds", () => {
    const peer = new Peer();
    expect([...new Set(peer.choices(6))]).toEqual([ONE]);
    expect([...new Set(peer.choices(6))]).toEqual([TWO]);
    expect(peer.choose()).toBe(ONE);
  });

  test("is tried for longer with each round, up to a minute", () => {
    const peer = new Peer();
    const lengths: number[] = [];
    let last: string | undefined;
    for (const chosen of peer.choices(600)) {
      if (chosen === last) lengths[lengths.length - 1] = (lengths.at(-1) ?? 0) + 1;
      else lengths.push(1);
      last = chosen;
    }
    expect(lengths.slice(0, -1)).toEqual([6, 6, 12, 12, 24, 24, 48, 48, 60, 60, 60, 60, 60, 60]);
  });

  test("is asked for again when its time is over", () => {
    const peer = new Peer();
    peer.choose();
    expect(peer.choice?.askAt).toBe(TRY);
    peer.now = 1000;
    peer.choose();
    expect(peer.choice?.askAt).toBe(TRY);
  });

  test("is none for a peer that comes to us", () => {
    const peer = new Peer();
    expect(peer.choose({ candidates: [] })).toBeUndefined();
  });

  test("moves on at once when the candidate is taken back", () => {
    const peer = new Peer();
    peer.choose();
    peer.now = 100;
    expect(peer.choose({ candidates: [PUBLIC] })).toBe(TWO);
  });
});

describe("the endpoint of a peer with a tunnel", () => {
  test("is where the device has it, whatever its record says", () => {
    const peer = new Peer();
    peer.choose();
    expect(peer.choose({ alive: true, current: ROAMED })).toBe(endpointText(ROAMED));
    peer.now = 1_000_000;
    expect(peer.choose({ candidates: [PUBLIC] })).toBe(endpointText(ROAMED));
  });

  test("is known as well when the device has died", () => {
    const peer = new Peer();
    peer.choose({ alive: true, current: ROAMED });
    expect(peer.choose({ current: undefined })).toBe(endpointText(ROAMED));
  });

  test("is left alone as long as a new agent does not know whether it works", () => {
    const peer = new Peer();
    expect(peer.choose({ alive: undefined, current: ROAMED })).toBe(endpointText(ROAMED));
    expect(peer.choose({ alive: false })).toBe(ONE);
  });

  test("is the private one again only when the tunnel is down; last the one that worked", () => {
    const peer = new Peer();
    peer.choose({ alive: true, current: endpoint(TWO) });
    expect([...new Set(peer.choices(100))]).toEqual([TWO]);
    peer.choose({ alive: true, current: ROAMED });
    peer.choose({ alive: false });
    expect([...new Set(peer.choices(18))]).toEqual([ONE, TWO, endpointText(ROAMED)]);
  });

  test("begins with short tries again when the tunnel is down a second time", () => {
    const peer = new Peer();
    peer.choices(600);
    peer.choose({ alive: true, current: endpoint(ONE) });
    peer.choose({ alive: false });
    expect(peer.choice?.askAt).toBe(peer.now + TRY);
  });
});

describe("host names", () => {
  test("are resolved when there is no tunnel, and with each new try", () => {
    const peer = new Peer();
    peer.choose({ candidates: [PRIVATE, NAME] });
    expect(peer.choice?.names).toEqual([NAME.host]);
    peer.choose({ resolved: new Map([[NAME.host, [address("192.0.2.9")]]]) });
    expect(peer.choice?.names).toEqual([]);
    peer.now = TRY;
    expect(peer.choose()).toBe("192.0.2.9:51820");
    expect(peer.choice?.names).toEqual([NAME.host]);
  });

  test("are not asked for as long as the tunnel lives", () => {
    const peer = new Peer();
    peer.choose({ candidates: [NAME], alive: true, current: ROAMED });
    expect(peer.choice?.names).toEqual([]);
  });

  test("are taken as soon as they have an address, and all that they have", () => {
    const peer = new Peer();
    expect(peer.choose({ candidates: [NAME] })).toBeUndefined();
    peer.now = 100;
    const resolved = new Map([[NAME.host, [address("192.0.2.9"), address("192.0.2.10")]]]);
    expect(peer.choose({ resolved })).toBe("192.0.2.9:51820");
    peer.now += TRY;
    expect(peer.choose()).toBe("192.0.2.10:51820");
  });

  test("without an address are asked for again, ever more rarely", () => {
    const peer = new Peer();
    peer.input = { ...peer.input, candidates: [NAME] };
    let asked = 0;
    for (let second = 0; second < 300; second += 1) {
      peer.choose();
      if ((peer.choice?.names.length ?? 0) > 0) asked += 1;
      peer.now += 1000;
    }
    expect(asked).toBeGreaterThan(4);
    expect(asked).toBeLessThan(12);
  });

  test("lead to the new address of a node that has moved", () => {
    const peer = new Peer();
    peer.choose({ candidates: [NAME], resolved: new Map([[NAME.host, [address("192.0.2.9")]]]) });
    peer.now = 2000;
    expect(peer.choose({ resolved: new Map([[NAME.host, [address("192.0.2.99")]]]) })).toBe("192.0.2.99:51820");
  });
});

test("every candidate is tried again and again, whatever happens", () => {
  const candidates = fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(candidates, (hosts) => {
      const peer = new Peer();
      peer.input = {
        ...peer.input,
        candidates: hosts.map((host) => ({ host: address(`192.0.2.${host}`), scope: "public" as const })),
      };
      peer.choices(500);
      const later = new Set(peer.choices((hosts.length + 1) * (LONGEST_TRY / 1000)));
      expect(later.size).toBe(hosts.length);
    }),
  );
});
