import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Stream, startStream } from "../../../src/os/stream.ts";

const ENV = { PATH: "/usr/bin:/bin" };

function sh(script: string, onStdout: (chunk: Buffer) => void = () => undefined): Promise<Stream> {
  return startStream("/bin/sh", ["-c", script], { env: ENV, onStdout });
}

describe("startStream", () => {
  it("hands over all output, in order, before it has ended", async () => {
    const chunks: Buffer[] = [];
    const stream = await sh("seq 1 20000; echo done >&2; exit 3", (chunk) => chunks.push(chunk));
    expect(await stream.ended).toEqual({ code: 3, signal: null, stderr: "done\n" });
    const expected = Array.from({ length: 20000 }, (_, index) => `${index + 1}\n`).join("");
    expect(Buffer.concat(chunks).toString()).toBe(expected);
  });

  it("waits for what the program says, also when it has said so already", async () => {
    await using stream = await sh("echo ready 1 >&2; read -r never </dev/tty || sleep 1000");
    const number = (stderr: string) => /ready (\d)/.exec(stderr)?.[1];
    expect(await stream.said(number, 10_000)).toBe("1");
    expect(await stream.said(number, 10_000)).toBe("1");
    expect(stream.stderr).toContain("ready 1\n");
  });

  it("tells of a program that ends, or takes too long, without saying it, with what it said instead", async () => {
    const ending = await sh("echo no such device >&2; exit 1");
    await expect(ending.said(() => undefined, 10_000)).rejects.toMatchObject({
      name: "Fault",
      message: expect.stringContaining("/bin/sh ended too early"),
      details: "no such device",
    });
    await using slow = await sh("sleep 1000");
    await expect(slow.said(() => undefined, 20)).rejects.toThrow(/within 0.02 s/);
  });

  it("ends it by a signal, all of its group, and by SIGKILL when it does not listen", async () => {
    const obedient = await sh("trap 'exit 7' INT; echo ready >&2; while :; do sleep 0.01; done");
    await obedient.said((stderr) => stderr.includes("ready") || undefined, 10_000);
    expect(await obedient.stop("SIGINT", 10_000)).toMatchObject({ code: 7 });
    const deaf = await sh("trap '' INT; echo ready >&2; while :; do sleep 0.01; done");
    await deaf.said((stderr) => stderr.includes("ready") || undefined, 10_000);
    expect(await deaf.stop("SIGINT", 50)).toMatchObject({ code: null, signal: "SIGKILL" });
    expect(await deaf.stop("SIGINT", 50)).toMatchObject({ signal: "SIGKILL" });
  });

  it("fails with what its reader throws, and ends the program", async () => {
    const stream = await sh("echo $$; exec sleep 1000", (chunk) => {
      throw new Error(`not this: ${chunk.toString().trim()}`);
    });
    const error: unknown = await stream.ended.catch((reason: unknown) => reason);
    const pid = /^Error: not this: (\d+)$/.exec(String(error))?.[1];
    if (pid === undefined) throw error;
    await stream.said(() => undefined, 10_000).catch(() => undefined); // its end
    expect(() => readFileSync(`/proc/${pid}/cmdline`)).toThrow(/ENOENT/);
  });

  it("gives it no input, no directory of ours and only the environment it is meant to have", async () => {
    const chunks: Buffer[] = [];
    const stream = await sh("cat; pwd; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=", (chunk) =>
      chunks.push(chunk),
    );
    await stream.ended;
    expect(Buffer.concat(chunks).toString()).toBe(`/\nPATH=${ENV.PATH}\n`);
  });

  it("says so when a program cannot be started", async () => {
    const stream = await startStream("/no/such/program", [], { env: ENV, onStdout: () => undefined });
    const { code, stderr } = await stream.ended;
    expect(code).not.toBe(0);
    expect(stderr).toContain("/no/such/program");
  });
});
