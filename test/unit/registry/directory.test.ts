import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Fault } from "../../../src/fault.ts";
import { listShared, readShared, sharedFacts } from "../../../src/os/shared-directory.ts";
import { type DirectoryRegistryOptions, openDirectoryRegistry } from "../../../src/registry/directory.ts";
import type { FileAccess } from "../../../src/registry/node-files.ts";
import { recordText } from "../../../src/registry/record-text.ts";
import type { Registry, RegistryState } from "../../../src/registry/registry.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { registrySuite } from "./registry-suite.ts";
import { namesOf, nodeName, rawRecord, record, stateWhere, wireguardKey } from "./support.ts";

registrySuite("a directory", async () => {
  const directory = mkdtempSync(join(tmpdir(), "podvpn-registry-"));
  return {
    open: async () => openDirectoryRegistry({ directory, grace: 50 }),
    damage: async (name) => writeFileSync(`${directory}/nodes/${name}.yaml`, "name: [\n"),
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }),
  };
});

let base: string;
let directory: string;
let nodes: string;
let opened: Registry[];
let over: AbortController;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "podvpn-registry-"));
  directory = `${base}/mesh`;
  nodes = `${directory}/nodes`;
  mkdirSync(nodes, { recursive: true });
  opened = [];
  over = new AbortController();
});

afterEach(async () => {
  over.abort();
  for (const registry of opened) await registry[Symbol.asyncDispose]();
  rmSync(base, { recursive: true });
});

function open(options: Partial<DirectoryRegistryOptions> = {}): Registry {
  const registry = openDirectoryRegistry({ directory, grace: 50, ...options });
  opened.push(registry);
  return registry;
}

/** Writes files as somebody else would: by number, or with their text. */
function put(...files: readonly (number | readonly [name: string, text: string])[]): void {
  for (const file of files) {
    if (typeof file === "number") writeFileSync(`${nodes}/${nodeName(file)}.yaml`, recordText(record(file)));
    else writeFileSync(`${nodes}/${file[0]}`, file[1]);
  }
}

/** States of a watch, and what it told besides. */
function watch(registry: Registry) {
  const errors: string[] = [];
  let recovered = 0;
  const states = registry
    .watch(
      over.signal,
      (error) => errors.push(error.message),
      () => {
        recovered += 1;
      },
    )
    [Symbol.asyncIterator]();
  return { states, errors, recovered: () => recovered };
}

/** Real calls, of which some are answered otherwise. */
function access(changed: Partial<FileAccess>): FileAccess {
  return { list: listShared, facts: sharedFacts, read: readShared, ...changed };
}

function errno(code: string): Fault {
  return new Fault(5, `${nodes}: ${code}`, "mount it again");
}

describe("files of a directory", () => {
  test("are written by one agent each, for all to read, with a remark on top, and leave nothing else", async () => {
    const umask = process.umask(0o077);
    try {
      await open().publish(record(1));
    } finally {
      process.umask(umask);
    }
    expect(readdirSync(nodes)).toEqual([`${nodeName(1)}.yaml`]);
    const file = `${nodes}/${nodeName(1)}.yaml`;
    expect(statSync(file).mode & 0o7777).toBe(0o644);
    expect(readFileSync(file, "utf8")).toMatch(/^# Written by podvpn agent on this node \(n00001\)/);
  });

  test("are made with their directory", async () => {
    rmSync(directory, { recursive: true });
    const registry = open();
    expect((await registry.list()).nodes).toEqual([]);
    await registry.publish(record(1));
    expect(namesOf(await open().list())).toEqual([nodeName(1)]);
    expect(statSync(nodes).mode & 0o7777).toBe(0o755);
  });

  test("are written again over what an agent that was killed left behind", async () => {
    const left = [`.${nodeName(1)}.yaml.${process.pid}.tmp`, `.${nodeName(1)}.yaml.999999999.tmp`];
    put(...left.map((name): [string, string] => [name, "name: half"]));
    await open().publish(record(1));
    expect(readdirSync(nodes)).toEqual([`${nodeName(1)}.yaml`]);
  });

  test("may be few keys by hand, also in a .yml, which the node's agent replaces", async () => {
    put([
      `${nodeName(1)}.yml`,
      `name: ${nodeName(1)}\npodPrefixes: 10.101.1.0/24\nwireguard:\n  publicKey: ${wireguardKey(1)}\n`,
    ]);
    const registry = open();
    expect((await registry.list()).nodes).toEqual([
      {
        name: nodeName(1),
        generation: 0,
        underlay: { private: [], public: [] },
        podPrefixes: ["10.101.1.0/24"],
        addresses: ["10.101.1.1"],
        drivers: ["wireguard"],
        wireguard: { publicKey: wireguardKey(1), port: 51_820 },
        gateway: false,
        keepalive: 0,
        labels: {},
      },
    ]);
    await registry.publish(record(1));
    expect(readdirSync(nodes)).toEqual([`${nodeName(1)}.yaml`]);
    expect((await registry.list()).refusals).toEqual([]);
  });

  test("of others are left alone: temporary ones, and what is no record", async () => {
    put(
      1,
      [`.${nodeName(2)}.yaml`, "x"],
      [`.${nodeName(2)}.yaml.AbC123`, "x"],
      [".nfs00000001", "x"],
      ["README.md", "x"],
    );
    put([`${nodeName(2)}.yaml~`, "x"], [`${nodeName(2)}.yaml.1234.tmp`, "x"]);
    mkdirSync(`${nodes}/.git`);
    const { nodes: found, refusals } = await open().list();
    expect(found.map(({ name }) => name)).toEqual([nodeName(1)]);
    expect(refusals).toEqual([]);
  });

  test.each<[string, string | (() => void), RegExp, number | undefined]>([
    ["is empty", "", /is empty/, undefined],
    ["has only white space", "\n \n", /is empty/, undefined],
    ["is no YAML", "name: n00002\npodPrefixes: [\n", /is not YAML/, 3],
    ["was cut off", recordText(record(2)).slice(0, -20), /is cut off/, 20],
    ["was cut off before its last line", recordText(record(2)).slice(0, -4), /is cut off/, 22],
    ["holds a list", "- n00002\n", /it holds a list/, 1],
    ["is of another node", recordText(record(3)), /name is "n00003", and the file is n00002\.yaml/, 2],
    ["has a wrong value", recordText(record(2)).replace("port: 51820", "port: 0"), /wireguard\.port is 0/, 18],
    [
      "is not UTF-8",
      () => writeFileSync(`${nodes}/n00002.yaml`, Buffer.from([0x61, 0xff])),
      /is not text in UTF-8/,
      undefined,
    ],
    ["is too large", `${recordText(record(2))}#${"x".repeat(65_536)}`, /has more than 65536 bytes/, undefined],
    ["is a directory", () => mkdirSync(`${nodes}/n00002.yaml`), /is a directory/, undefined],
    ["is a loop of links", () => symlinkSync("n00002.yaml", `${nodes}/n00002.yaml`), /leads to itself/, undefined],
    ["is a link to nothing", () => symlinkSync("nowhere", `${nodes}/n00002.yaml`), /link to nothing/, undefined],
    ["is a device", () => symlinkSync("/dev/null", `${nodes}/n00002.yaml`), /is no regular file/, undefined],
  ])("one that %s is refused alone, and its node stays as it was", async (_, content, what, line) => {
    put(1, 2);
    const registry = open();
    const before = await registry.list();
    expect(before.nodes).toHaveLength(2);
    unlinkSync(`${nodes}/n00002.yaml`);
    if (typeof content === "string") put(["n00002.yaml", content]);
    else content();
    const after = await registry.list();
    expect(after.nodes).toEqual(before.nodes);
    expect(after.refusals).toHaveLength(1);
    const [refusal] = after.refusals;
    expect(refusal).toMatchObject({ name: "n00002", kept: true });
    expect(refusal?.where).toBe(line === undefined ? "nodes/n00002.yaml" : `nodes/n00002.yaml:${line}`);
    expect(refusal?.what).toMatch(what);
    expect(refusal?.remedy).not.toBe("");
  });

  test("with several errors are refused with all of them, each with its line", async () => {
    put([
      "n00001.yaml",
      `name: n00001
generaton: 3
underlay:
  private:
    - 10.9.0.1
    - nowhere
podPrefixes: [10.101.1.0/24, 10.101.1.128/25]
wireguard:
  publicKey: ${wireguardKey(1).slice(1)}
  port: 70000
ipsec: { identity: two words }
labels:
  rack: 12
`,
    ]);
    const { refusals } = await open().list();
    expect(refusals.map(({ where, what }) => `${where} ${what}`)).toEqual([
      "nodes/n00001.yaml:2 generaton is not known",
      'nodes/n00001.yaml:6 underlay.private[1] is "nowhere"',
      'nodes/n00001.yaml:7 podPrefixes[1] is "10.101.1.128/25", which overlaps "10.101.1.0/24"',
      "nodes/n00001.yaml:9 wireguard.publicKey is [secret]",
      "nodes/n00001.yaml:10 wireguard.port is 70000",
      'nodes/n00001.yaml:11 ipsec.identity is "two words"',
      "nodes/n00001.yaml:13 labels.rack is 12",
    ]);
  });

  test("that cannot be read are refused alone", async () => {
    put(1, 2);
    const registry = open({
      access: access({
        read: async (path, most) => (path.endsWith("n00002.yaml") ? { problem: "EIO" } : readShared(path, most)),
      }),
    });
    const { nodes: found, refusals } = await registry.list();
    expect(found).toHaveLength(1);
    expect(refusals).toMatchObject([{ where: "nodes/n00002.yaml", what: "cannot be read (EIO)", kept: false }]);
  });

  test("a second one of the same node is refused, whichever is right", async () => {
    put(
      1,
      ["n00001.yml", recordText(record(1, { mtu: 1300 }))],
      ["n00002.yml", recordText(record(2))],
      ["n00002.yaml", ""],
    );
    const state = await open().list();
    expect(namesOf(state)).toEqual(["n00001"]);
    expect(state.nodes[0]).not.toHaveProperty("mtu");
    expect(state.refusals.map(({ where, what }) => `${where} ${what}`)).toEqual([
      "nodes/n00001.yml node n00001 has a file n00001.yaml as well, which counts",
      "nodes/n00002.yaml is empty",
      "nodes/n00002.yml node n00002 has a file n00002.yaml as well, which counts",
    ]);
  });

  test("with a name that no node can have are refused", async () => {
    put(["Node 1.yaml", recordText(record(1))]);
    const { refusals } = await open().list();
    expect(refusals).toMatchObject([
      { where: "nodes/Node 1.yaml", what: '"Node 1.yaml" is not the name of a node\'s file' },
    ]);
  });

  test("are told with the line where they contradict each other", async () => {
    put(1, ["n00002.yaml", recordText(record(2, { wireguard: rawRecord(1).wireguard }))]);
    put(["n00003.yaml", recordText(record(3, { podPrefixes: ["10.100.0.0/16"] }))]);
    const { refusals } = await open().list();
    expect(refusals.map(({ where, what }) => `${where} ${what}`)).toEqual([
      "nodes/n00002.yaml:17 wireguard.publicKey is the same as that of node n00001",
      'nodes/n00003.yaml:9 podPrefixes[0] is "10.100.0.0/16", which overlaps "10.100.1.0/24" of node n00001',
    ]);
  });

  test("are read again when they changed and do not look so: same size, same time", async () => {
    put(1);
    const registry = open();
    await registry.list();
    const time = new Date();
    put(["n00001.yaml", recordText(record(1, { wireguard: { publicKey: wireguardKey(1), port: 51_821 } }))]);
    utimesSync(`${nodes}/n00001.yaml`, time, time);
    expect((await registry.list()).nodes[0]?.wireguard?.port).toBe(51_821);
  });

  test("are read again when nothing tells whether they changed: file systems count time in steps", async () => {
    put(1);
    const registry = open({
      access: access({
        facts: async (at, names) => names.map((name) => ({ identity: `${at}/${name}`, size: 0, isFresh: false })),
        read: async (path, most) => {
          const found = await readShared(path, most);
          return found !== undefined && "bytes" in found ? { ...found, identity: path, isFresh: true } : found;
        },
      }),
    });
    await registry.list();
    put(["n00001.yaml", recordText(record(1, { keepalive: 25 }))]);
    expect((await registry.list()).nodes[0]?.keepalive).toBe(25);
  });

  test("are not read again when they did not change", async () => {
    put(1, 2);
    const old = new Date(Date.now() - 60_000);
    const read: string[] = [];
    const registry = open({
      access: access({
        // As it will be when the files are older than they can be in a test: ctime cannot be set.
        facts: async (at, names) => names.map((name) => ({ identity: `${at}/${name}`, size: 0, isFresh: false })),
        read: async (path, most) => {
          read.push(path.slice(nodes.length + 1));
          const found = await readShared(path, most);
          return found !== undefined && "bytes" in found ? { ...found, identity: path, isFresh: false } : found;
        },
      }),
    });
    utimesSync(`${nodes}/n00001.yaml`, old, old);
    const { version } = await registry.list();
    expect((await registry.list()).version).toBe(version);
    expect(read).toEqual(["n00001.yaml", "n00002.yaml"]);
  });

  test("of a node with other keys are not written over", async () => {
    const theirs = record(1, { wireguard: { publicKey: wireguardKey(9) } });
    put(["n00001.yaml", recordText(theirs)]);
    const registry = open({ isOwn: ({ wireguard }) => wireguard?.publicKey === wireguardKey(1) });
    await expect(registry.publish(record(1))).rejects.toMatchObject({
      code: 7,
      what: expect.stringContaining("has a node n00001 with other keys"),
      remedy: expect.stringContaining("give this node another name"),
    });
    expect((await registry.list()).nodes).toEqual([theirs]);
    unlinkSync(`${nodes}/n00001.yaml`);
    await registry.list();
    expect((await registry.publish(record(1))).wireguard?.publicKey).toBe(wireguardKey(1));
  });

  test("that cannot be written are a Fault with a remedy", async () => {
    rmSync(nodes, { recursive: true });
    writeFileSync(nodes, "in the way");
    await expect(open().list()).rejects.toMatchObject({ code: 5, what: expect.stringContaining("ENOTDIR") });
    await expect(open().publish(record(1))).rejects.toBeInstanceOf(Fault);
  });
});

describe("a directory that is gone as a whole", () => {
  const gone: Record<string, () => void> = {
    "is not there": () => renameSync(nodes, `${base}/away`),
    "is not there, with what it is in": () => renameSync(directory, `${base}/away`),
    "is empty": () => {
      renameSync(nodes, `${base}/away`);
      mkdirSync(nodes);
    },
    "has lost all its files": () => {
      mkdirSync(`${base}/away`);
      for (const name of readdirSync(nodes)) renameSync(`${nodes}/${name}`, `${base}/away/${name}`);
    },
  };

  test.each(Object.keys(gone))("as it %s, takes no node away, is told once, and takes no record", async (how) => {
    put(1, 2, 3);
    const registry = open();
    const { states, errors, recovered } = watch(registry);
    const { value: before } = await states.next();
    const next = states.next();
    gone[how]?.();
    await eventually("the error is told", 5000, () => errors.length > 0);
    await expect(registry.list()).rejects.toMatchObject({ code: 11 });
    await expect(registry.publish(record(4))).rejects.toMatchObject({ code: 11 });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(
      /3 nodes were there; mount it again or put the files back: these nodes count until then \(start the agent anew if/,
    );
    expect(recovered()).toBe(0);

    rmSync(directory, { recursive: true, force: true });
    if (how.endsWith("in")) renameSync(`${base}/away`, directory);
    else {
      mkdirSync(directory);
      renameSync(`${base}/away`, nodes);
    }
    await eventually("it is told that all is well", 5000, () => recovered() === 1);
    expect(await registry.list()).toEqual(before);
    put(4);
    expect(namesOf((await next).value)).toHaveLength(4);
  });

  test.each(["EIO", "ESTALE", "EACCES"])("as it cannot be read (%s), takes no node away", async (code) => {
    put(1, 2);
    let isBroken = false;
    let tries = 0;
    const list: FileAccess["list"] = async (path) => {
      tries += 1;
      if (isBroken) throw errno(code);
      return listShared(path);
    };
    const registry = open({ access: access({ list }), interval: 200 });
    const { states, errors, recovered } = watch(registry);
    expect(namesOf((await states.next()).value)).toHaveLength(2);
    const next = states.next();
    isBroken = true;
    await eventually("the error is told", 5000, () => errors.length > 0);
    // What is heard of one file tells nothing of the others.
    const before = tries;
    put(3);
    await eventually("it is tried again", 5000, () => tries > before + 1);
    expect(recovered()).toBe(0);
    isBroken = false;
    expect(namesOf((await next).value)).toHaveLength(3);
    expect(errors).toEqual([`${nodes}: ${code}; mount it again`]);
    expect(recovered()).toBe(1);
  });

  test("as its file server hangs, is told of, and holds up nobody but those who ask it", async () => {
    put(1, 2);
    const { promise: hangs, resolve: answers } = Promise.withResolvers<void>();
    let isHung = false;
    let calls = 0;
    const list: FileAccess["list"] = async (path) => {
      calls += 1;
      if (isHung) await hangs;
      return listShared(path);
    };
    const registry = open({ access: access({ list }), interval: 20, timeout: 60, grace: 0 });
    const { states, errors, recovered } = watch(registry);
    await states.next();
    const next = states.next();
    isHung = true;
    const before = calls;
    await eventually("the error is told", 5000, () => errors.length > 0);
    await expect(registry.list()).rejects.toMatchObject({ code: 11, what: expect.stringContaining("does not answer") });
    expect(errors).toHaveLength(1);
    expect(calls - before).toBeLessThanOrEqual(2);
    isHung = false;
    put(3);
    answers();
    expect(namesOf((await next).value)).toHaveLength(3);
    await eventually("it is told that all is well", 5000, () => recovered() === 1);
  });

  test("is one thing, and nodes that go one after the other another", async () => {
    put(1, 2, 3);
    const registry = open();
    for (const left of [3, 2, 1, 0]) {
      expect((await registry.list()).nodes).toHaveLength(left);
      if (left > 0) unlinkSync(`${nodes}/${nodeName(left)}.yaml`);
    }
  });

  test("when the nodes come back one after the other, they are not taken for all", async () => {
    put(1, 2, 3);
    const registry = open({ grace: 60_000 });
    const { states, errors } = watch(registry);
    await states.next();
    const next = states.next();
    renameSync(nodes, `${base}/away`);
    await eventually("the error is told", 5000, () => errors.length > 0);
    mkdirSync(nodes);
    put(1, 4);
    expect(namesOf((await next).value)).toHaveLength(4);
  });
});

describe("a directory that is watched", () => {
  test("is followed when it is replaced by rename", async () => {
    put(1);
    const { states } = watch(open({ interval: 60_000 }));
    await states.next();
    mkdirSync(`${base}/new`);
    writeFileSync(`${base}/new/n00001.yaml`, recordText(record(1)));
    writeFileSync(`${base}/new/n00002.yaml`, recordText(record(2)));
    renameSync(nodes, `${base}/old`);
    renameSync(`${base}/new`, nodes);
    await stateWhere(states, (state) => state.nodes.length === 2);
    put(3);
    await stateWhere(states, (state) => state.nodes.length === 3);
  });

  test("is followed when a symbolic link on the way to it is turned elsewhere", async () => {
    put(1);
    renameSync(directory, `${base}/v1`);
    symlinkSync("v1", directory);
    mkdirSync(`${base}/v2/nodes`, { recursive: true });
    for (const number of [1, 2]) writeFileSync(`${base}/v2/nodes/${nodeName(number)}.yaml`, recordText(record(number)));
    const { states } = watch(open({ interval: 60_000 }));
    await states.next();
    symlinkSync("v2", `${base}/link`);
    renameSync(`${base}/link`, directory);
    await stateWhere(states, (state) => state.nodes.length === 2);
    put(3);
    await stateWhere(states, (state) => state.nodes.length === 3);
    expect(existsSync(`${base}/v2/nodes/n00003.yaml`)).toBe(true);
  });

  test("is followed when that link is far above", async () => {
    mkdirSync(`${base}/v1/a/mesh/nodes`, { recursive: true });
    mkdirSync(`${base}/v2/a/mesh/nodes`, { recursive: true });
    writeFileSync(`${base}/v2/a/mesh/nodes/n00001.yaml`, recordText(record(1)));
    symlinkSync(`${base}/v1`, `${base}/current`);
    const { states } = watch(open({ directory: `${base}/current/a/mesh`, interval: 60_000 }));
    expect((await states.next()).value.nodes).toEqual([]);
    symlinkSync("v2", `${base}/link`);
    renameSync(`${base}/link`, `${base}/current`);
    await stateWhere(states, (state) => state.nodes.length === 1);
  });

  test("is found when it comes later, also with what it is in", async () => {
    rmSync(directory, { recursive: true });
    const { states, errors } = watch(open({ interval: 60_000 }));
    expect((await states.next()).value.nodes).toEqual([]);
    mkdirSync(directory);
    mkdirSync(nodes);
    put(1);
    await stateWhere(states, (state) => state.nodes.length === 1);
    expect(errors).toEqual([]);
  });

  test("is looked at again and again where nobody tells of changes", async () => {
    put(1);
    renameSync(nodes, `${base}/real`);
    symlinkSync("../real", nodes);
    // A directory that inotify tells nothing of: the one that is read is another than the one that is watched.
    const list: FileAccess["list"] = () => listShared(`${base}/server`);
    const read: FileAccess["read"] = (path, most) => readShared(path.replace(nodes, `${base}/server`), most);
    mkdirSync(`${base}/server`);
    const { states } = watch(
      open({ interval: 20, access: { list, read, facts: async (_, names) => names.map(() => undefined) } }),
    );
    expect((await states.next()).value.nodes).toEqual([]);
    writeFileSync(`${base}/server/n00001.yaml`, recordText(record(1)));
    await stateWhere(states, (state) => state.nodes.length === 1);
  });

  test("takes a file that is written in place when it is whole, and keeps its node meanwhile", async () => {
    put(1, 2);
    const { states } = watch(open());
    await states.next();
    const text = recordText(record(1, { keepalive: 25 }));
    const seen: RegistryState[] = [];
    const done = (async () => {
      for (;;) {
        const { value } = await states.next();
        seen.push(value);
        if (value.nodes[0]?.keepalive === 25) return;
      }
    })();
    for (let length = 0; length <= text.length; length += 40)
      writeFileSync(`${nodes}/n00001.yaml`, text.slice(0, length));
    writeFileSync(`${nodes}/n00001.yaml`, text);
    await done;
    for (const state of seen) expect(namesOf(state)).toEqual(["n00001", "n00002"]);
    expect(seen.at(-1)?.refusals).toEqual([]);
  });

  test("does not take a file for gone that is removed and written anew", async () => {
    put(1, 2);
    const { states } = watch(open({ grace: 60_000 }));
    await states.next();
    unlinkSync(`${nodes}/n00001.yaml`);
    put(3);
    expect(namesOf((await states.next()).value)).toEqual(["n00001", "n00002", "n00003"]);
    put(["n00001.yaml", recordText(record(1, { keepalive: 25 }))]);
    expect((await states.next()).value.nodes[0]).toMatchObject({ name: "n00001", keepalive: 25 });
  });

  test("has the same version for the same content only", async () => {
    put(1);
    const first = await open().list();
    expect((await open().list()).version).toBe(first.version);
    put(["n00001.yaml", recordText(record(1, { mtu: 1400 }))]);
    expect((await open().list()).version).not.toBe(first.version);
  });

  test("leaves no watch behind", async () => {
    const watches = () =>
      readdirSync("/proc/self/fdinfo")
        .map((fd) => (existsSync(`/proc/self/fdinfo/${fd}`) ? readFileSync(`/proc/self/fdinfo/${fd}`, "utf8") : ""))
        .join("\n")
        .split("\n")
        .filter((line) => line.startsWith("inotify wd")).length;
    const before = watches();
    const { states } = watch(open());
    await states.next();
    expect(watches()).toBeGreaterThan(before);
    const last = states.next();
    over.abort();
    await last;
    expect(watches()).toBe(before);
  });
});

describe("what was accepted", () => {
  const lastGood = () => `${base}/state/registry.json`;

  async function saved(): Promise<void> {
    const registry = openDirectoryRegistry({ directory, grace: 50, lastGood: lastGood() });
    await registry.list();
    await registry[Symbol.asyncDispose]();
  }

  test("outlives the agent, for nodes whose files are damaged", async () => {
    put(1, 2);
    await saved();
    expect(statSync(lastGood()).mode & 0o7777).toBe(0o600);
    expect(readdirSync(`${base}/state`)).toEqual(["registry.json"]);
    put(["n00002.yaml", ""]);
    const state = await open({ lastGood: lastGood() }).list();
    expect(namesOf(state)).toEqual(["n00001", "n00002"]);
    expect(state.refusals).toMatchObject([{ name: "n00002", kept: true }]);
  });

  test("outlives the agent, for a directory that is not mounted", async () => {
    put(1, 2);
    await saved();
    renameSync(nodes, `${base}/away`);
    mkdirSync(nodes);
    const { states, errors } = watch(open({ lastGood: lastGood() }));
    expect(namesOf((await states.next()).value)).toEqual(["n00001", "n00002"]);
    expect(errors).toHaveLength(1);
  });

  test("does not outlive its file", async () => {
    put(1, 2);
    await saved();
    unlinkSync(`${nodes}/n00002.yaml`);
    expect(namesOf(await open({ lastGood: lastGood() }).list())).toEqual(["n00001"]);
  });

  test("decides who stays after a restart", async () => {
    put(2);
    await saved();
    put(["n00001.yaml", recordText(record(1, { podPrefixes: ["10.100.2.0/24"] }))]);
    expect(namesOf(await open().list())).toEqual(["n00001"]);
    expect(namesOf(await open({ lastGood: lastGood() }).list())).toEqual(["n00002"]);
  });

  test.each([
    ["cut off", (text: string) => text.slice(0, -30)],
    ["empty", () => ""],
    ["of another version", (text: string) => text.replace('"version": 1', '"version": 2')],
    ["wrong", (text: string) => text.replace("10.100.1.0/24", "nowhere")],
  ])("is not believed when its file is %s, which is told and mended", async (_, damaged) => {
    put(1, 2);
    await saved();
    writeFileSync(lastGood(), damaged(readFileSync(lastGood(), "utf8")));
    const registry = open({ lastGood: lastGood() });
    const { states } = watch(registry);
    const { value } = await states.next();
    expect(namesOf(value)).toHaveLength(2);
    expect(value.refusals).toMatchObject([{ where: lastGood(), what: "is damaged, and does not count" }]);
    await eventually("it is written anew", 5000, () => readFileSync(lastGood(), "utf8").endsWith("]\n}\n"));
    await eventually("it is told no more", 5000, async () => (await registry.list()).refusals.length === 0);
  });

  test("is told when it cannot be kept", async () => {
    put(1);
    writeFileSync(`${base}/state`, "in the way");
    const { states, errors } = watch(open({ lastGood: lastGood(), interval: 20 }));
    expect(namesOf((await states.next()).value)).toEqual(["n00001"]);
    const next = states.next();
    await eventually("the error is told", 5000, () => errors.length > 0);
    expect(errors[0]).toContain(`${base}/state`);
    over.abort();
    await next;
  });
});

test("the permissions of a directory that others made stay", async () => {
  chmodSync(nodes, 0o775);
  await open().publish(record(1));
  expect(statSync(nodes).mode & 0o7777).toBe(0o775);
});
