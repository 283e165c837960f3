import { inspect } from "node:util";
import fc from "fast-check";
import {
  encodePacket,
  encodeSegment,
  type IkeSa,
  type LogLine,
  type Message,
  type Packet,
  type Section,
  type Vici,
  ViciError,
} from "vici";
import { describe, expect, test } from "vitest";
import { Peer } from "./support/peer.ts";
import { recorded } from "./support/recorded.ts";

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

/** The code that a call fails with. */
function code(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "no failure",
    (error) => (error instanceof ViciError ? error.code : String(error)),
  );
}

/** The peer's part of a streamed command that lists `names`. */
async function list(peer: Peer, names: readonly string[]): Promise<void> {
  await peer.expect("EVENT_REGISTER", "list-conn");
  peer.confirm();
  await peer.expect("CMD_REQUEST", "list-conns");
  for (const name of names) peer.event("list-conn", { [name]: { version: "IKEv2" } });
  peer.respond({});
  await peer.expect("EVENT_UNREGISTER", "list-conn");
  peer.confirm();
}

const names = (message: Message) => message.sections().map(([name]) => name);

describe("commands", () => {
  test("go one at a time, in the order in which they were given", async () => {
    const [vici, peer] = await Peer.pair();
    const answers = Promise.all(["a", "b", "c"].map((command) => vici.request(command)));
    expect(await peer.sent()).toEqual(["CMD_REQUEST a"]);
    for (const command of ["a", "b", "c"]) {
      await peer.expect("CMD_REQUEST", command);
      peer.respond({ to: command });
    }
    expect((await answers).map((answer) => answer.text("to"))).toEqual(["a", "b", "c"]);
  });

  test("that this charon lacks fail by themselves", async () => {
    const [vici, peer] = await Peer.pair();
    const outcomes = [code(vici.request("bogus")), code(vici.subscribe(["alert"])), code(vici.version())];
    await peer.expect("CMD_REQUEST", "bogus");
    peer.send({ type: "CMD_UNKNOWN" });
    await peer.expect("EVENT_REGISTER", "alert");
    peer.send({ type: "EVENT_UNKNOWN" });
    await peer.expect("CMD_REQUEST", "version");
    peer.respond({ daemon: "charon", version: "6", sysname: "Linux", release: "6", machine: "x" });
    expect(await Promise.all(outcomes)).toEqual(["UNKNOWN_COMMAND", "UNKNOWN_EVENT", "no failure"]);
  });

  test("that cannot be sent fail before anything is", async () => {
    const [vici, peer] = await Peer.pair();
    expect(await code(vici.request("x".repeat(256)))).toBe("INVALID");
    expect(await code(vici.request("a", {}, { timeout: 0 }))).toBe("INVALID");
    expect(await code(vici.request("a", {}, { timeout: Number.NaN }))).toBe("INVALID");
    expect(await code(vici.initiate({ ike: "a", child: "b", timeout: 0 }))).toBe("INVALID");
    expect(await code(vici.terminate({ ike: "a", timeout: Number.POSITIVE_INFINITY }))).toBe("INVALID");
    expect(await code(vici.subscribe(["x".repeat(256)]))).toBe("INVALID");
    expect(await peer.sent()).toEqual([]);
  });
});

describe("an answer that comes too late", () => {
  test("is not taken for the next one's, after a deadline", async () => {
    const [vici, peer] = await Peer.pair();
    expect(await code(vici.request("slow", {}, { timeout: 20 }))).toBe("TIMEOUT");
    const next = vici.request("next");
    expect(await peer.sent()).toEqual(["CMD_REQUEST slow"]);
    peer.respond({ to: "slow" });
    await peer.expect("CMD_REQUEST", "slow");
    await peer.expect("CMD_REQUEST", "next");
    peer.respond({ to: "next" });
    expect((await next).text("to")).toBe("next");
  });

  test("is not taken for the next one's, after an abort", async () => {
    const [vici, peer] = await Peer.pair();
    const stop = new AbortController();
    const slow = vici.request("slow", {}, { signal: stop.signal });
    await peer.expect("CMD_REQUEST", "slow");
    stop.abort(new Error("enough"));
    await expect(slow).rejects.toMatchObject({ code: "ABORTED", cause: new Error("enough") });
    const next = vici.request("next");
    peer.respond({ to: "slow" });
    await peer.expect("CMD_REQUEST", "next");
    peer.respond({ to: "next" });
    expect((await next).text("to")).toBe("next");
  });

  test("of a stream, events and all, does not reach the next stream", async () => {
    const [vici, peer] = await Peer.pair();
    const slow = code(collect(vici.stream("list-conns", "list-conn", {}, { timeout: 20 })));
    await peer.expect("EVENT_REGISTER", "list-conn");
    peer.confirm();
    await peer.expect("CMD_REQUEST", "list-conns");
    expect(await slow).toBe("TIMEOUT");
    const next = collect(vici.stream("list-conns", "list-conn"));
    peer.event("list-conn", { old: {} });
    peer.respond({});
    await peer.expect("EVENT_UNREGISTER", "list-conn");
    peer.confirm();
    await list(peer, ["new"]);
    expect((await next).map(names)).toEqual([["new"]]);
  });
});

describe("a call that was given up", () => {
  test("before its turn is never sent", async () => {
    const [vici, peer] = await Peer.pair();
    const stop = new AbortController();
    const first = vici.request("first");
    const outcomes = [
      code(vici.request("expires", {}, { timeout: 20 })),
      code(vici.request("aborted", {}, { signal: stop.signal })),
      code(vici.request("aborted before", {}, { signal: AbortSignal.abort() })),
      code(vici.initiate({ ike: "a", child: "b", timeout: 1000, signal: stop.signal })),
    ];
    stop.abort();
    expect(await Promise.all(outcomes)).toEqual(["TIMEOUT", "ABORTED", "ABORTED", "ABORTED"]);
    const last = vici.request("last");
    peer.respond({});
    await first;
    await peer.expect("CMD_REQUEST", "first");
    await peer.expect("CMD_REQUEST", "last");
    peer.respond({});
    await last;
    expect(await peer.sent()).toEqual(["CMD_REQUEST first", "CMD_REQUEST last"]);
  });

  test("while its event is registered does not start its command", async () => {
    const [vici, peer] = await Peer.pair();
    const stop = new AbortController();
    const outcome = code(vici.initiate({ ike: "a", child: "b", timeout: 1000, signal: stop.signal }));
    await peer.expect("EVENT_REGISTER", "control-log");
    stop.abort();
    peer.confirm();
    await peer.expect("EVENT_UNREGISTER", "control-log");
    peer.confirm();
    expect(await outcome).toBe("ABORTED");
  });

  test("says what it waited behind", async () => {
    const [vici] = await Peer.pair();
    const mute = code(vici.request("mute", {}, { timeout: 40 }));
    await expect(vici.request("next", {}, { timeout: 20 })).rejects.toThrow(
      'next: not sent, because "mute" was not answered within 20 ms',
    );
    expect(await mute).toBe("TIMEOUT");
  });

  test("leaves no listener on its signal", async () => {
    const [vici, peer] = await Peer.pair();
    const signal = new AbortController().signal;
    const listeners: string[] = [];
    signal.addEventListener = () => listeners.push("added");
    signal.removeEventListener = () => listeners.push("removed");
    const answer = vici.request("a", {}, { signal });
    peer.respond({});
    await answer;
    expect(listeners).toEqual(["added", "removed"]);
  });
});

describe("a streamed command", () => {
  test("registers, waits, asks, takes the events until the answer, and unregisters", async () => {
    const [vici, peer] = await Peer.pair();
    const conns = collect(vici.listConns());
    await list(peer, ["a", "b"]);
    expect((await conns).map(({ name }) => name)).toEqual(["a", "b"]);
    expect(await peer.sent()).toEqual([
      "EVENT_REGISTER list-conn",
      "CMD_REQUEST list-conns",
      "EVENT_UNREGISTER list-conn",
    ]);
  });

  test("takes events that come before the confirmation", async () => {
    const [vici, peer] = await Peer.pair();
    const events = collect(vici.stream("list-conns", "list-conn"));
    await peer.expect("EVENT_REGISTER", "list-conn");
    peer.event("list-conn", { early: {} });
    peer.event("ike-updown", { other: {} });
    peer.confirm();
    await peer.expect("CMD_REQUEST", "list-conns");
    peer.respond({});
    expect((await events).map(names)).toEqual([["early"]]);
  });

  test("may be left in the middle", async () => {
    const [vici, peer] = await Peer.pair();
    const conversation = list(peer, ["a", "b", "c"]);
    for await (const event of vici.stream("list-conns", "list-conn")) {
      expect(names(event)).toEqual(["a"]);
      break;
    }
    await conversation;
    const next = vici.request("next");
    await peer.expect("CMD_REQUEST", "next");
    peer.respond({ to: "next" });
    expect((await next).text("to")).toBe("next");
  });

  test("lets its reader use the connection", async () => {
    const [vici, peer] = await Peer.pair();
    const reader = (async () => {
      const answers: string[] = [];
      for await (const event of vici.stream("list-conns", "list-conn")) {
        answers.push(`${names(event)}: ${(await vici.request("get")).text("to")}`);
      }
      return answers;
    })();
    await list(peer, ["a", "b"]);
    for (const to of ["first", "second"]) {
      await peer.expect("CMD_REQUEST", "get");
      peer.respond({ to });
    }
    expect(await reader).toEqual(["a: first", "b: second"]);
  });

  test("sends nothing before it is read", async () => {
    const [vici, peer] = await Peer.pair();
    vici.listSas();
    expect(await peer.sent()).toEqual([]);
  });

  test("of an unknown name still unregisters its event", async () => {
    const [vici, peer] = await Peer.pair();
    const outcome = code(collect(vici.stream("bogus", "list-conn")));
    await peer.expect("EVENT_REGISTER", "list-conn");
    peer.confirm();
    await peer.expect("CMD_REQUEST", "bogus");
    peer.send({ type: "CMD_UNKNOWN" });
    await peer.expect("EVENT_UNREGISTER", "list-conn");
    peer.confirm();
    expect(await outcome).toBe("UNKNOWN_COMMAND");
  });

  test("fails with what its listener throws, and is still held to its end", async () => {
    const [vici, peer] = await Peer.pair();
    const onLog = () => {
      throw new Error("the listener's own");
    };
    const outcome = code(vici.initiate({ ike: "a", child: "b", timeout: 1000, onLog }));
    await peer.expect("EVENT_REGISTER", "control-log");
    peer.confirm();
    await peer.expect("CMD_REQUEST", "initiate");
    peer.event("control-log", { group: "IKE", level: "1", msg: "hello" });
    expect(await outcome).toBe("Error: the listener's own");
    peer.respond({ success: "yes" });
    await peer.expect("EVENT_UNREGISTER", "control-log");
    peer.confirm();
    const version = code(vici.request("version"));
    await peer.expect("CMD_REQUEST", "version");
    peer.respond({});
    expect(await version).toBe("no failure");
  });

  test("waits for charon to say that the time is over", async () => {
    const [vici, peer] = await Peer.pair();
    const outcome = code(vici.initiate({ ike: "a", child: "b", timeout: 20 }));
    await peer.expect("EVENT_REGISTER", "control-log");
    peer.confirm();
    await peer.expect("CMD_REQUEST", "initiate");
    await new Promise((resolve) => setTimeout(resolve, 60));
    peer.respond({ success: "no", errmsg: "CHILD_SA 'b' not established after 20ms" });
    expect(await outcome).toBe("COMMAND_FAILED");
  });

  test("tells its listener nothing after close(), also of what had come already", async () => {
    const [vici, peer] = await Peer.pair();
    const seen: string[] = [];
    const onLog = ({ msg }: LogLine) => {
      seen.push(msg);
      vici.close();
    };
    const outcome = code(vici.initiate({ ike: "a", child: "b", timeout: 1000, onLog }));
    await peer.expect("EVENT_REGISTER", "control-log");
    peer.confirm();
    await peer.expect("CMD_REQUEST", "initiate");
    const line = (msg: string) =>
      encodeSegment(encodePacket({ type: "EVENT", name: "control-log", message: { group: "IKE", level: "1", msg } }));
    peer.raw(Buffer.concat([line("first"), line("second")]));
    expect(await outcome).toBe("CLOSED");
    expect(seen).toEqual(["first"]);
  });

  test("understands an SA in any pieces", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(sizes, async (pieces) => {
        const [vici, peer] = await Peer.pair();
        const sas = collect(vici.listSas());
        const stream = Buffer.concat(
          recorded("list-sas-established").flatMap(({ from, segment }) => (from === "charon" ? [segment] : [])),
        );
        // The whole of it cannot be said before it is asked for: the last two answers wait for their questions.
        await peer.expect("EVENT_REGISTER", "list-sa");
        const cut = stream.length - 2 * 5;
        peer.raw(stream.subarray(0, 5));
        await peer.expect("CMD_REQUEST", "list-sas");
        for (let offset = 5, turn = 0; offset < cut; turn += 1) {
          const end = Math.min(cut, offset + (pieces[turn % pieces.length] ?? 1));
          peer.raw(stream.subarray(offset, end));
          offset = end;
        }
        peer.raw(stream.subarray(cut, cut + 5));
        await peer.expect("EVENT_UNREGISTER", "list-sa");
        peer.raw(stream.subarray(cut + 5));
        expect((await sas).map((sa: IkeSa) => [sa.name, sa.localVips])).toEqual([["hub", ["10.173.0.1"]]]);
        vici.close();
      }),
      { numRuns: 50 },
    );
  });
});

describe("a subscription", () => {
  async function subscribe(vici: Vici, peer: Peer, ...events: string[]) {
    const subscription = vici.subscribe(events);
    for (const event of events) {
      await peer.expect("EVENT_REGISTER", event);
      peer.confirm();
    }
    return await subscription;
  }

  test("has all events, those before the confirmation included, in order", async () => {
    const [vici, peer] = await Peer.pair();
    const subscribing = vici.subscribe(["ike-updown", "child-updown"]);
    await peer.expect("EVENT_REGISTER", "ike-updown");
    peer.event("ike-updown", { up: "yes" });
    peer.confirm();
    await peer.expect("EVENT_REGISTER", "child-updown");
    peer.confirm();
    const subscription = await subscribing;
    peer.event("child-updown", { up: "yes" });
    peer.event("other", {});
    peer.event("ike-updown", {});
    const seen: (string | undefined)[] = [];
    for await (const { name, message } of subscription) {
      seen.push(name, message.text("up"));
      if (seen.length === 6) break;
    }
    expect(seen).toEqual(["ike-updown", "yes", "child-updown", "yes", "ike-updown", undefined]);
  });

  test("goes on after a loop over it was left, until it is disposed of", async () => {
    const [vici, peer] = await Peer.pair();
    {
      await using subscription = await subscribe(vici, peer, "ike-updown");
      for (const up of ["yes", "no"]) peer.event("ike-updown", { up });
      for (const up of ["yes", "no"]) {
        for await (const { message } of subscription) {
          expect(message.text("up")).toBe(up);
          break;
        }
      }
      void peer.expect("EVENT_UNREGISTER", "ike-updown").then(() => peer.confirm());
    }
    expect(await peer.sent()).toEqual(["EVENT_REGISTER ike-updown", "EVENT_UNREGISTER ike-updown"]);
  });

  test("shares its registration: charon would send an event as often as it was registered", async () => {
    const [vici, peer] = await Peer.pair();
    const one = await subscribe(vici, peer, "ike-updown");
    const other = await vici.subscribe(["ike-updown", "ike-updown"]);
    peer.event("ike-updown", { up: "yes" });
    for (const subscription of [one, other]) {
      expect(await subscription[Symbol.asyncIterator]().next()).toMatchObject({ value: { name: "ike-updown" } });
    }
    await one.close();
    expect(await peer.sent()).toEqual(["EVENT_REGISTER ike-updown"]);
    const closed = other.close();
    await peer.expect("EVENT_UNREGISTER", "ike-updown");
    peer.confirm();
    await closed;
    expect(await collect(one)).toEqual([]);
  });

  test("takes back what was confirmed when one of its events is unknown", async () => {
    const [vici, peer] = await Peer.pair();
    const outcome = code(vici.subscribe(["ike-updown", "alert"]));
    await peer.expect("EVENT_REGISTER", "ike-updown");
    peer.confirm();
    await peer.expect("EVENT_REGISTER", "alert");
    peer.send({ type: "EVENT_UNKNOWN" });
    await peer.expect("EVENT_UNREGISTER", "ike-updown");
    peer.confirm();
    expect(await outcome).toBe("UNKNOWN_EVENT");
  });

  test("ends with its signal, and tells charon", async () => {
    const [vici, peer] = await Peer.pair();
    const stop = new AbortController();
    const subscribing = vici.subscribe(["ike-updown"], { signal: stop.signal });
    await peer.expect("EVENT_REGISTER", "ike-updown");
    peer.confirm();
    const outcome = code(collect(await subscribing));
    stop.abort();
    expect(await outcome).toBe("ABORTED");
    await peer.expect("EVENT_UNREGISTER", "ike-updown");
  });

  test("that nobody reads ends before it fills the memory", async () => {
    const [vici, peer] = await Peer.pair();
    const subscription = await subscribe(vici, peer, "log");
    const line = "x".repeat(60_000);
    for (let count = 0; count < 700; count += 1) peer.event("log", { msg: line });
    await peer.expect("EVENT_UNREGISTER", "log");
    peer.confirm();
    let received = 0;
    const reading = (async () => {
      for await (const event of subscription) received += event.message.size;
    })();
    expect(await code(reading)).toBe("OVERFLOW");
    expect(received).toBe(Math.floor((32 * 1024 * 1024) / encodePacket(logPacket(line)).length));
  });
});

function logPacket(msg: string): Packet<Section> {
  return { type: "EVENT", name: "log", message: { msg } };
}

describe("the end of the connection", () => {
  /** A connection with everything on it: a command in flight, one that waits, a subscription, a stream. */
  async function busy(): Promise<{ vici: Vici; peer: Peer; outcomes: () => Promise<string[]> }> {
    const [vici, peer] = await Peer.pair();
    const subscribing = vici.subscribe(["ike-updown"]);
    await peer.expect("EVENT_REGISTER", "ike-updown");
    peer.confirm();
    const calls = [
      collect(await subscribing),
      vici.request("in flight"),
      vici.version(),
      vici.initiate({ ike: "a", child: "b", timeout: 1000 }),
      collect(vici.listSas()),
    ].map(code);
    await peer.expect("CMD_REQUEST", "in flight");
    return { vici, peer, outcomes: () => Promise.all(calls) };
  }

  test("by charon fails all that waits, and all that comes later", async () => {
    const { vici, peer, outcomes } = await busy();
    peer.end();
    expect(await outcomes()).toEqual(Array(5).fill("CLOSED"));
    await expect(vici.version()).rejects.toMatchObject({
      code: "CLOSED",
      message: "version: charon closed the connection",
    });
    expect(await code(vici.subscribe(["ike-updown"]))).toBe("CLOSED");
  });

  test("by close() does the same", async () => {
    const { vici, outcomes } = await busy();
    vici.close();
    vici.close();
    expect(await outcomes()).toEqual(Array(5).fill("CLOSED"));
    expect(await code(vici.version())).toBe("CLOSED");
  });

  test("comes with a scope", async () => {
    const [vici, peer] = await Peer.pair();
    {
      await using scoped = vici;
      const answer = scoped.request("a");
      peer.respond({});
      await answer;
    }
    expect(await code(vici.version())).toBe("CLOSED");
  });

  const violations: [string, Buffer][] = [
    ["a segment that is too long", Buffer.from("00080001", "hex")],
    ["an empty segment", Buffer.from("00000000", "hex")],
    ["an unknown packet", Buffer.from("0000000109", "hex")],
    ["a malformed answer", Buffer.from("000000020103", "hex")],
    ["a malformed event", Buffer.from("0000000407016106", "hex")],
    ["a confirmation in place of an answer", encodeSegment(encodePacket({ type: "EVENT_CONFIRM" }))],
    ["a request", encodeSegment(encodePacket({ type: "CMD_REQUEST", name: "a", message: {} }))],
  ];
  test.each(violations)("comes with %s: what follows could not be trusted", async (_, bytes) => {
    const { peer, outcomes } = await busy();
    peer.raw(bytes);
    expect(await outcomes()).toEqual(Array(5).fill("PROTOCOL"));
  });

  test("comes with an answer that nobody asked for", async () => {
    const [vici, peer] = await Peer.pair();
    const answer = vici.request("a");
    peer.respond({});
    peer.respond({});
    await answer;
    await peer.sent();
    expect(await code(vici.request("b"))).toBe("PROTOCOL");
  });
});

describe("a secret is in no error", () => {
  const SECRET = "correct-horse-battery-staple";
  const load = (vici: Vici, options = {}) =>
    vici.loadShared({ id: "psk", type: "IKE", data: Buffer.from(SECRET) }, options);

  async function errors(): Promise<unknown[]> {
    const failed: Promise<unknown>[] = [];
    const outcome = (call: Promise<unknown>) => failed.push(call.catch((error) => error));
    for (const packet of [
      { type: "CMD_RESPONSE", message: { success: "no", errmsg: "invalid shared key type: X" } },
      { type: "CMD_UNKNOWN" },
      { type: "EVENT_CONFIRM" },
    ] satisfies Packet<Section>[]) {
      const [vici, peer] = await Peer.pair();
      outcome(load(vici));
      peer.send(packet);
    }
    const [mute] = await Peer.pair();
    outcome(load(mute, { timeout: 20 }));
    const [aborted] = await Peer.pair();
    outcome(load(aborted, { signal: AbortSignal.timeout(10) }));
    const [dying, charon] = await Peer.pair();
    outcome(load(dying));
    charon.end();
    const [unsent] = await Peer.pair();
    outcome(unsent.loadShared({ id: "psk", type: "IKE", data: SECRET.repeat(3000) }));
    return await Promise.all(failed);
  }

  test("whatever goes wrong with its command", async () => {
    const failures = await errors();
    expect(failures.map((error) => (error instanceof ViciError ? error.code : error))).toEqual([
      "COMMAND_FAILED",
      "UNKNOWN_COMMAND",
      "PROTOCOL",
      "TIMEOUT",
      "ABORTED",
      "CLOSED",
      "INVALID",
    ]);
    for (const error of failures) {
      const shown = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true, maxStringLength: null });
      expect(shown).not.toContain(SECRET);
      expect(shown).not.toContain(Buffer.from(SECRET).toString("hex").match(/../g)?.join(" "));
    }
  });
});
