import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { concat, u32, zeros } from "../../../src/netlink/bytes.ts";
import { NetlinkError } from "../../../src/netlink/error.ts";
import { waitFor } from "../../../src/netlink/events.ts";
import { decodeMessages, encodeMessage, type Message, NLM_F_DUMP_INTR } from "../../../src/netlink/message.ts";
import { Netlink } from "../../../src/netlink/netlink.ts";
import type { Inbox } from "../../../src/netlink/transport.ts";

const ERROR = 2;
const DONE = 3;
const DATA = 16;

/** A kernel that answers as it is told to: for what the real one does too seldom to be tested. */
class FakeKernel {
  readonly received: Message[] = [];
  readonly calls: string[] = [];
  readonly answers: ((request: Message) => void)[] = [];
  refusesToSend: NetlinkError | undefined;
  #inbox: Inbox | undefined;

  readonly nl = new Netlink((inbox) => {
    this.#inbox = inbox;
    return {
      send: (datagram, failed) => {
        const refusal = this.refusesToSend;
        if (refusal !== undefined) {
          setImmediate(() => failed(refusal));
          return;
        }
        const [request] = decodeMessages(datagram);
        if (request === undefined) throw new TypeError("no message in the datagram");
        this.received.push(request);
        setImmediate(() => this.answers.shift()?.(request));
      },
      join: (group) => this.calls.push(`join ${group}`),
      leave: (group) => this.calls.push(`leave ${group}`),
      keepAlive: (yes) => this.calls.push(`keepAlive ${yes}`),
      close: () => this.calls.push("close"),
    };
  });

  /** One datagram with these messages. */
  deliver(messages: readonly Partial<Message>[], multicast = false, isOwn = false): void {
    const whole = messages.map((part) => encodeMessage({ type: DATA, flags: 0, sequence: 0, body: zeros(4), ...part }));
    this.#inbox?.datagram(concat(...whole), multicast, isOwn);
  }

  /** A message that claims to be longer than its datagram. */
  garble(): void {
    this.#inbox?.datagram(concat(u32(100), zeros(12)), false, false);
  }

  fail(error: NetlinkError): void {
    this.#inbox?.failed(error);
  }

  acknowledge(errno: number): void {
    this.answers.push(({ sequence }) => this.deliver([{ type: ERROR, sequence, body: u32(-errno) }]));
  }

  dump(...bodies: readonly Partial<Message>[]): void {
    this.answers.push(({ sequence }) => {
      for (const body of bodies) this.deliver([{ sequence, ...body }]);
      this.deliver([{ type: DONE, sequence, body: u32(0) }]);
    });
  }
}

afterEach(() => vi.useRealTimers());

describe("a change", () => {
  test("is done when the kernel has acknowledged it", async () => {
    const kernel = new FakeKernel();
    kernel.acknowledge(0);
    await kernel.nl.change(DATA, 0x600, zeros(4), "add the link br0");
    expect(kernel.received).toMatchObject([{ type: DATA, flags: 0x605, sequence: 1 }]);
  });

  test("fails with the errno by name and the operation in words", async () => {
    const kernel = new FakeKernel();
    kernel.acknowledge(17);
    const error = await kernel.nl.change(DATA, 0, zeros(4), "add the link br0").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NetlinkError);
    expect(error).toMatchObject({ errno: "EEXIST", operation: "add the link br0" });
    expect(String(error)).toContain("NetlinkError: cannot add the link br0: file already exists (EEXIST)");
  });

  test("keeps the number of an errno that has no name here", async () => {
    const kernel = new FakeKernel();
    kernel.acknowledge(524);
    await expect(kernel.nl.change(DATA, 0, zeros(4), "x")).rejects.toMatchObject({ errno: "errno 524" });
  });

  test("fails when the datagram could not be sent", async () => {
    const kernel = new FakeKernel();
    kernel.refusesToSend = new NetlinkError("EPERM", "write to the netlink socket");
    await expect(kernel.nl.change(DATA, 0, zeros(4), "add the link br0")).rejects.toMatchObject({
      errno: "EPERM",
      operation: "add the link br0",
    });
  });

  test("fails after ten seconds without an answer, and an answer after that is ignored", async () => {
    const kernel = new FakeKernel();
    kernel.answers.push(() => {}); // silence
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const outcome = expect(kernel.nl.change(DATA, 0, zeros(4), "x")).rejects.toMatchObject({ errno: "ETIMEDOUT" });
    vi.advanceTimersByTime(10_000);
    await outcome;
    kernel.deliver([{ type: ERROR, sequence: 1 }]);
    kernel.acknowledge(0);
    await kernel.nl.change(DATA, 0, zeros(4), "y");
  });

  test("keeps the process alive until it is answered, and no longer", async () => {
    const kernel = new FakeKernel();
    kernel.acknowledge(0);
    await kernel.nl.change(DATA, 0, zeros(4), "x");
    expect(kernel.calls).toEqual(["keepAlive false", "keepAlive true", "keepAlive false"]);
  });
});

describe("a transaction", () => {
  const CHANGES = [
    { type: 20, flags: 0, body: zeros(4) },
    { type: 21, flags: 0, body: zeros(4) },
  ];
  const answer = (kernel: FakeKernel, ...errnos: readonly number[]) =>
    kernel.answers.push(({ sequence }) => {
      const answers = errnos.map((errno, index) => ({
        type: ERROR,
        sequence: sequence + 1 + index,
        body: u32(-errno),
      }));
      kernel.deliver(answers);
    });

  test("is done when each of its changes was acknowledged", async () => {
    const kernel = new FakeKernel();
    answer(kernel, 0, 0);
    await kernel.nl.transaction(10, CHANGES, "try");
    expect(kernel.calls.at(-1)).toBe("keepAlive false");
  });

  test("fails with the first refusal", async () => {
    const kernel = new FakeKernel();
    answer(kernel, 17, 2);
    await expect(kernel.nl.transaction(10, CHANGES, "try")).rejects.toMatchObject({ errno: "EEXIST" });
  });

  test("fails at once when the kernel refuses it as a whole, and answers to nothing else", async () => {
    const kernel = new FakeKernel();
    kernel.acknowledge(1);
    await expect(kernel.nl.transaction(10, CHANGES, "try")).rejects.toMatchObject({ errno: "EPERM" });
    expect(kernel.calls.at(-1)).toBe("keepAlive false");
  });
});

describe("a dump", () => {
  test("gathers what comes in several datagrams, with notifications and other answers between", async () => {
    const kernel = new FakeKernel();
    kernel.answers.push(() => {}); // the other request, answered in the middle of the dump
    kernel.answers.push(({ sequence }) => {
      kernel.deliver([
        { sequence, body: u32(1) },
        { sequence, body: u32(2) },
      ]);
      kernel.deliver([{ sequence, body: u32(99) }], true); // a notification that our own change caused
      kernel.deliver([
        { sequence: sequence - 1, body: u32(7) },
        { type: ERROR, sequence: sequence - 1 },
      ]);
      kernel.deliver([
        { sequence, body: u32(3) },
        { type: DONE, sequence, body: u32(0) },
      ]);
    });
    const [dump, other] = await Promise.all([
      kernel.nl.dump(DATA, zeros(4), "list"),
      kernel.nl.get(DATA, zeros(4), "read"),
    ]);
    expect(dump.map(({ body }) => body[0])).toEqual([1, 2, 3]);
    expect(other?.body[0]).toBe(7);
  });

  test.each([
    ["an entry", (kernel: FakeKernel) => kernel.dump({ flags: NLM_F_DUMP_INTR }, {})],
    [
      "the end",
      (kernel: FakeKernel) =>
        kernel.answers.push(({ sequence }) =>
          kernel.deliver([{ sequence }, { type: DONE, sequence, flags: NLM_F_DUMP_INTR }]),
        ),
    ],
  ])("whose table changed, as %s says, is read again", async (_where, interrupt) => {
    const kernel = new FakeKernel();
    interrupt(kernel);
    kernel.dump({ body: u32(5) });
    const messages = await kernel.nl.dump(DATA, zeros(4), "list");
    expect(messages.map(({ body }) => body[0])).toEqual([5]);
  });

  test("waits for the one before it, which may fail: the kernel refuses two at a time", async () => {
    const kernel = new FakeKernel();
    kernel.acknowledge(12);
    const dumps = Promise.allSettled([kernel.nl.dump(DATA, zeros(4), "one"), kernel.nl.dump(DATA, zeros(4), "two")]);
    await nextTurn();
    kernel.dump({ body: u32(2) });
    const [one, two] = await dumps;
    expect(one).toMatchObject({ status: "rejected", reason: { errno: "ENOMEM" } });
    expect(two).toMatchObject({ status: "fulfilled", value: [{ sequence: 2 }] });
  });

  test("of a table that never keeps still ends with EINTR", async () => {
    const kernel = new FakeKernel();
    for (let reading = 0; reading < 20; reading += 1) kernel.dump({ flags: NLM_F_DUMP_INTR });
    await expect(kernel.nl.dump(DATA, zeros(4), "list")).rejects.toMatchObject({ errno: "EINTR" });
    expect(kernel.received).toHaveLength(10);
  });

  test("that the kernel breaks off fails with the errno in its end", async () => {
    const kernel = new FakeKernel();
    kernel.answers.push(({ sequence }) => kernel.deliver([{ sequence }, { type: DONE, sequence, body: u32(-12) }]));
    await expect(kernel.nl.dump(DATA, zeros(4), "list")).rejects.toMatchObject({ errno: "ENOMEM" });
  });

  test("that cannot be understood fails instead of hanging", async () => {
    const kernel = new FakeKernel();
    kernel.answers.push(() => kernel.garble());
    await expect(kernel.nl.dump(DATA, zeros(4), "list")).rejects.toMatchObject({ errno: "EBADMSG", operation: "list" });
  });
});

describe("a closed socket", () => {
  test("rejects what is due and what comes after", async () => {
    const kernel = new FakeKernel();
    const due = kernel.nl.change(DATA, 0, zeros(4), "add the link br0");
    kernel.nl.close();
    kernel.nl.close();
    await expect(due).rejects.toMatchObject({ errno: "ECANCELED" });
    await expect(kernel.nl.dump(DATA, zeros(4), "list")).rejects.toMatchObject({ errno: "ECANCELED" });
    expect(() => kernel.nl.subscribe([1], () => {})).toThrow("closed");
    expect(kernel.calls.filter((call) => call === "close")).toHaveLength(1);
  });

  test("is what leaving the scope makes of an open one", () => {
    const kernel = new FakeKernel();
    {
      using _nl = kernel.nl;
    }
    expect(kernel.calls).toContain("close");
  });
});

test("a socket that fails rejects what is due", async () => {
  const kernel = new FakeKernel();
  const due = kernel.nl.change(DATA, 0, zeros(4), "x");
  kernel.fail(new NetlinkError("EIO", "read from the netlink socket"));
  await expect(due).rejects.toMatchObject({ errno: "EIO", operation: "x" });
});

describe("notifications", () => {
  test("reach each listener once; a group is left with its last listener", () => {
    const kernel = new FakeKernel();
    const seen: string[] = [];
    const one = kernel.nl.subscribe([1, 5], () => seen.push("one"));
    const two = kernel.nl.subscribe([5], () => seen.push("two"));
    kernel.deliver([{}], true);
    expect(seen).toEqual(["one", "two"]);
    one[Symbol.dispose]();
    two[Symbol.dispose]();
    two[Symbol.dispose]();
    kernel.deliver([{}], true);
    expect(seen).toHaveLength(2);
    expect(kernel.calls.slice(1)).toEqual(["join 1", "join 5", "leave 1", "leave 5"]);
  });

  test("of what this process has done itself do not reach who wants others' alone", () => {
    const kernel = new FakeKernel();
    const seen: string[] = [];
    kernel.nl.subscribe([1], () => seen.push("all"));
    kernel.nl.subscribe([1], () => seen.push("others"), { othersOnly: true });
    kernel.deliver([{}], true, true);
    expect(seen).toEqual(["all"]);
    kernel.deliver([{}], true);
    expect(seen).toEqual(["all", "all", "others"]);
  });
});

describe("waitFor", () => {
  const wait = (kernel: FakeKernel, read: () => Promise<string | undefined>, signal?: AbortSignal): Promise<string> =>
    waitFor(kernel.nl, [1], read, "find it", { timeout: 1000, signal });

  test("subscribes before it reads, and ends at once when it is there already", async () => {
    const kernel = new FakeKernel();
    const read = vi.fn(async () => {
      expect(kernel.calls).toContain("join 1");
      return "there";
    });
    await expect(wait(kernel, read)).resolves.toBe("there");
    expect(kernel.calls).toContain("leave 1");
  });

  test("misses nothing that happens while it reads", async () => {
    const kernel = new FakeKernel();
    let readings = 0;
    const read = async (): Promise<string | undefined> => {
      readings += 1;
      if (readings > 1) return "there";
      kernel.deliver([{}], true); // after the kernel took its snapshot, before we have it
      await nextTurn();
      return undefined;
    };
    await expect(wait(kernel, read)).resolves.toBe("there");
  });

  test("reads again after each change", async () => {
    const kernel = new FakeKernel();
    let readings = 0;
    const found = wait(kernel, async () => (++readings > 2 ? "there" : undefined));
    for (const reading of [1, 2]) {
      await nextTurn();
      expect(readings).toBe(reading);
      kernel.deliver([{}], true);
    }
    await expect(found).resolves.toBe("there");
  });

  test("says what it waited for when the time is over", async () => {
    const kernel = new FakeKernel();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const found = expect(wait(kernel, async () => undefined)).rejects.toThrow(
      "cannot find it: not there within 1000 ms (ETIMEDOUT)",
    );
    vi.advanceTimersByTime(1000);
    await found;
    expect(kernel.calls).toContain("leave 1");
  });

  test("ends with the signal's reason", async () => {
    const kernel = new FakeKernel();
    const abort = new AbortController();
    const found = wait(kernel, async () => undefined, abort.signal);
    abort.abort(new Error("the pod is gone"));
    await expect(found).rejects.toThrow("the pod is gone");
    await expect(wait(kernel, async () => "there", abort.signal)).rejects.toThrow("the pod is gone");
  });

  test("ends with the error of a reading", async () => {
    const kernel = new FakeKernel();
    await expect(wait(kernel, () => Promise.reject(new Error("refused")))).rejects.toThrow("refused");
  });
});
