import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "../../../src/os/process.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-process-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const sh = (script: string, options: Partial<Parameters<typeof run>[2]> = {}) =>
  run("/bin/sh", ["-c", script], { timeout: 10_000, ...options });

function fault(code: number, message: string) {
  return expect.objectContaining({ name: "Fault", code, message: expect.stringContaining(message) });
}

/** Whether a process exists. A zombie does not count: its parent may be slow to reap it. */
function runs(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe("run", () => {
  it("gives a program its input, environment and directory, and returns all that it printed", async () => {
    const result = await sh('cat; echo "$A $PWD"; echo oops >&2; exit 3', {
      input: "in\n",
      env: { A: "a", B: undefined },
      cwd: "/tmp",
    });
    expect(result).toMatchObject({ code: 3, signal: null, pid: expect.any(Number) });
    expect(result.stdout.toString()).toBe("in\na /tmp\n");
    expect(result.stderr.toString()).toBe("oops\n");
  });

  it("reports a death by signal", async () => {
    expect(await sh("kill -TERM $$")).toMatchObject({ code: null, signal: "SIGTERM" });
  });

  it("gives an empty standard input when there is none", async () => {
    expect((await sh("readlink /proc/self/fd/0; cat")).stdout.toString()).toBe("/dev/null\n");
  });

  it("passes file descriptors on as 3, 4, …", async () => {
    const path = join(directory, "fd");
    writeFileSync(path, "through the fd");
    const fd = openSync(path, "r");
    try {
      expect((await sh("cat <&3", { extraFds: [fd] })).stdout.toString()).toBe("through the fd");
    } finally {
      closeSync(fd);
    }
  });

  it("moves 300 KiB both ways", async () => {
    const input = "0123456789abcdef".repeat(300 * 64);
    expect((await run("cat", [], { input, timeout: 10_000 })).stdout.toString()).toBe(input);
  });

  it("does not mind a program that reads none of its input", async () => {
    expect(await run("true", [], { input: "x".repeat(1024 * 1024), timeout: 10_000 })).toMatchObject({ code: 0 });
  });

  it.each([
    ["/no/such/program", 101, "/no/such/program cannot be started (ENOENT); install"],
    ["/etc/passwd", 101, "/etc/passwd cannot be started (EACCES); make the file executable"],
  ])("says why %s cannot be started", async (file, code, message) => {
    await expect(run(file, [], { timeout: 1000 })).rejects.toThrow(fault(code, message));
  });

  it("kills a program that takes too long, with all that it started, and says what it waited for", async () => {
    const pids = join(directory, "pids");
    const script = `sleep 60 & echo $$ $! >${pids}; echo still waiting >&2; wait`;
    const failed = await sh(script, { timeout: 300 }).catch((error: unknown) => error);
    expect(failed).toEqual(fault(5, "/bin/sh did not end within 0.3 s and was killed"));
    expect(failed).toMatchObject({ details: "still waiting" });
    const started = readFileSync(pids, "utf8").trim().split(" ").map(Number);
    expect(started).toHaveLength(2);
    await expect.poll(() => started.filter(runs)).toEqual([]);
  });

  it("does not wait for ever for a process that holds the output of one that has ended", async () => {
    const pidFile = join(directory, "holder");
    const failed = sh(`setsid sleep 60 & echo $! >${pidFile}`, { timeout: 300 });
    await expect(failed).rejects.toThrow(fault(5, "ended, but a process that it started still held its output"));
    process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL");
  });

  it("kills a program whose call is aborted and throws the reason", async () => {
    const abort = new AbortController();
    const pidFile = join(directory, "aborted");
    const failed = sh(`echo $$ >${pidFile}; exec sleep 60`, { signal: abort.signal });
    await expect.poll(() => readPid(pidFile)).toBeGreaterThan(0);
    abort.abort(new Error("enough"));
    await expect(failed).rejects.toThrow("enough");
    await expect.poll(() => runs(readPid(pidFile))).toBe(false);
    await expect(sh("true", { signal: abort.signal })).rejects.toThrow("enough");
  });

  it("stops a program that prints without end", async () => {
    await expect(run("yes", [], { timeout: 10_000 })).rejects.toThrow(fault(5, "yes wrote more than 1 MiB"));
  });

  it("keeps the end of a long standard error", async () => {
    const { stderr } = await sh("head -c 200000 /dev/zero | tr '\\0' x >&2; echo the end >&2");
    expect(stderr.length).toBe(64 * 1024);
    expect(stderr.toString()).toMatch(/xthe end\n$/);
  });

  it("leaves no handle that keeps the process alive", async () => {
    const script = `
      const { run } = await import(${JSON.stringify(join(import.meta.dirname, "../../../src/os/process.ts"))});
      await run("true", [], { timeout: 60000, signal: new AbortController().signal });`;
    const { spawn } = await import("node:child_process");
    const child = spawn(
      process.execPath,
      ["--experimental-transform-types", "--no-warnings", "--input-type=module", "-e", script],
      { timeout: 15_000 },
    );
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});

function readPid(path: string): number {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return 0;
  }
}
