import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { keptNodes } from "../../src/testbed/kept.ts";
import { DIST } from "./support/cluster.ts";

const PODVPN = `${DIST}/podvpn`;

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended>; wrote(text: string): Promise<void> } {
  const child = spawn(PODVPN, ["demo", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const look = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      for (const each of look) each();
    });
  }
  const ended = once(child, "close").then(([code]) => ({ code, output }));
  const wrote = (text: string) => {
    const seen = new Promise<void>((resolve) => {
      const each = () => output.includes(text) && resolve();
      look.add(each);
      each();
    });
    const tooLate = ended.then(() => {
      throw new Error(`the demo ended without "${text}":\n${output}`);
    });
    return Promise.race([seen, tooLate]);
  };
  return { child, ended, wrote };
}

/** Processes of any testbed and what runs in their namespaces: those that are not in our own pid namespace. */
function foreignProcesses(): string[] {
  const own = pidNamespace("self");
  return readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && ![own, undefined].includes(pidNamespace(pid)));
}

function pidNamespace(pid: string): string | undefined {
  try {
    return execFileSync("readlink", [`/proc/${pid}/ns/pid`], { stdio: ["ignore", "pipe", "ignore"] }).toString();
  } catch {
    return undefined; // ended, or a thread of the kernel
  }
}

afterEach(() => {
  execFileSync(PODVPN, ["demo", "--down"]);
});

describe("the demo", () => {
  it("shows that all pods reach each other, encrypted only, and leaves nothing", async () => {
    const before = foreignProcesses();
    const { code, output } = await start().ended;
    expect(output.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(output.match(/^ {2}[abc][12] {3}node-[abc] +172\.17\.\d\.\d +10\.173\.\d+\.\d+ +\d+ ms$/gm)).toHaveLength(6);
    expect(output).not.toContain("lost");
    expect(output).toMatch(/encrypted .* [1-9]\d+ packets/);
    expect(output).toMatch(/plain \(.* 0 packets/);
    expect(output.match(/ESP\(spi=/g)).toHaveLength(2);
    expect(output).toMatch(/before +3 of 3[^]*after +0 of 3[^]*after +0 of 3[^]*plain on the wire +0 packets/);
    expect(output).toContain("left: 0");
    expect(output).toMatch(/Taken down, nothing is left\. [1-5]?\d\.\d s in all\./);
    expect(code).toBe(0);
    expect(foreignProcesses()).toEqual(before);
  });

  it.each(["Machines out of", "Pods, by", "Ping over", "The charon of"])(
    "takes everything down when interrupted at %j",
    async (moment) => {
      const before = foreignProcesses();
      const { child, ended, wrote } = start();
      await wrote(moment);
      child.kill("SIGINT");
      const { code, output } = await ended;
      expect(output).toContain("interrupted by SIGINT; everything is taken down");
      expect(code).toBe(130);
      expect(foreignProcesses()).toEqual(before);
    },
  );

  it("stays up with --keep until --down, and the commands that it prints work", async () => {
    const { code, output } = await start("--keep").ended;
    expect(code).toBe(0);
    expect(keptNodes("podvpn-demo").map(({ name }) => name)).toEqual(
      expect.arrayContaining(["switch", "hub", "node-a", "node-b", "node-c"]),
    );
    const [ping = "", leases = ""] = [/nsenter.* ping .*/.exec(output)?.[0], /nsenter.* hub leases/.exec(output)?.[0]];
    expect(execFileSync("sh", ["-c", `${ping} -c 2`]).toString()).toContain("2 received");
    expect(
      execFileSync("sh", ["-c", leases])
        .toString()
        .match(/10\.173\./g),
    ).toHaveLength(6);
    expect((await start("--keep").ended).output).toContain("podvpn demo --down");

    const pids = keptNodes("podvpn-demo").map(({ pid }) => pid);
    expect((await start("--down").ended).output).toMatch(/^taken down: /);
    for (const pid of pids) expect(() => readFileSync(`/proc/${pid}/environ`)).toThrow();
    expect((await start("--down").ended).output).toBe("no demo is up\n");
  });

  it("refuses contradictory options", async () => {
    expect(await start("--keep", "--down").ended).toMatchObject({ code: 2 });
  });
});
