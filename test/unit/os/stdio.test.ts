import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";

const MODULE = JSON.stringify(join(import.meta.dirname, "../../../src/os/stdio.ts"));

const TYPESCRIPT = ["--experimental-transform-types", "--no-warnings"];

/** Runs `body` with `io` in a process of its own, started through the shell command `wrap` ("$@" is Node). */
function start(body: string, wrap = 'exec "$@"') {
  const script = `const { processStdio } = await import(${MODULE}); const io = processStdio(); ${body}`;
  const node = [process.execPath, ...TYPESCRIPT, "--input-type=module", "-e", script];
  const child = spawn("/bin/bash", ["-c", wrap, "bash", ...node], { stdio: "pipe", timeout: 15_000 });
  child.stdin.on("error", () => undefined); // a child that ends early shows it by its exit code
  return child;
}

async function outcome(child: ReturnType<typeof start>) {
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { stdout, stderr, code };
}

const ECHO = "const all = io.readStdin(); io.writeStdout(all); io.exit(all.length === 0 ? 7 : 0);";

describe("standard input", () => {
  it("is read to its end, also from a writer that is slow and splits a character", async () => {
    const child = start(ECHO);
    const bytes = Buffer.from('{"name":"ü"}');
    const middle = bytes.indexOf(0xc3) + 1;
    child.stdin.write(bytes.subarray(0, middle));
    await new Promise((resolve) => setTimeout(resolve, 200)); // the slow writer
    child.stdin.end(bytes.subarray(middle));
    expect(await outcome(child)).toEqual({ stdout: '{"name":"ü"}', stderr: "", code: 0 });
  });

  it("of 300 KiB comes through a pipe, and out again", async () => {
    const child = start(ECHO);
    const all = `"${"0123456789".repeat(30 * 1024)}"`;
    child.stdin.end(all);
    expect(await outcome(child)).toEqual({ stdout: all, stderr: "", code: 0 });
  });

  it("that is not ready (EAGAIN) is waited for without burning the processor", async () => {
    const body = `const all = io.readStdin(); io.writeStdout(all);
      const { user, system } = process.cpuUsage(); io.writeStderr(String(user + system)); io.exit(0);`;
    // O_NONBLOCK belongs to the open file, which all share who inherit it: perl sets it, Node finds it set.
    const child = start(body, `perl -MFcntl -e 'fcntl(STDIN, F_SETFL, O_NONBLOCK)'; exec "$@"`);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    child.stdin.end("late");
    const { stdout, stderr } = await outcome(child);
    expect(stdout).toBe("late");
    expect(Number(stderr)).toBeLessThan(1_000_000); // microseconds; a busy loop takes all of the 1.5 s
  });

  it.each([
    ["/dev/null", 'exec "$@" </dev/null'],
    ["closed", 'exec "$@" <&-'],
    ["a terminal", 'exec script -qec "$(printf "%q " "$@")" /dev/null'],
  ])("that is %s is empty and not waited for", async (_, wrap) => {
    expect((await outcome(start(ECHO, wrap))).code).toBe(7);
  });

  it("that is a directory is a Fault", async () => {
    const body = "try { io.readStdin() } catch (error) { io.writeStdout(error.code + ' ' + error.message) }";
    expect((await outcome(start(body, 'exec "$@" </'))).stdout).toBe(
      "5 standard input cannot be read (EISDIR); pass the configuration through a pipe",
    );
  });
});

describe("standard output", () => {
  it("is complete when exit follows at once, however slow the reader", async () => {
    const child = start('io.writeStdout("x".repeat(1024 * 1024)); io.exit(3);');
    await new Promise((resolve) => setTimeout(resolve, 300)); // the slow reader
    const { stdout, code } = await outcome(child);
    expect([stdout.length, code]).toEqual([1024 * 1024, 3]);
  });

  it("whose reader is gone is a Fault", async () => {
    const child = start(
      'io.readStdin(); try { io.writeStdout("x") } catch (error) { io.writeStderr(error.code + " " + error.message) }',
    );
    child.stdout.destroy();
    child.stdin.end();
    expect(await text(child.stderr)).toMatch(/^5 standard output cannot be written \(EPIPE\)/);
  });
});
