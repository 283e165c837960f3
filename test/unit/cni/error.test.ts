import { describe, expect, it } from "vitest";
import { formatDelError, formatError } from "../../../src/cni/error.ts";
import { PluginFault } from "../../../src/cni/execute.ts";
import { Code, Fault } from "../../../src/fault.ts";

describe("formatError", () => {
  it("prints a Fault's code, message and every line of its details", () => {
    const fault = new Fault(Code.hubSilent, "no answer from 10.9.0.254", "see that the hub runs", {
      details: "one\ntwo",
    });
    expect(formatError(fault, "0.4.0")).toEqual({
      cniVersion: "0.4.0",
      code: 104,
      msg: "no answer from 10.9.0.254; see that the hub runs",
      details: "one\ntwo",
    });
  });

  it("prints no details where there are none", () => {
    expect(formatError(new Fault(7, "x", "do y"), "1.1.0")).toEqual({ cniVersion: "1.1.0", code: 7, msg: "x; do y" });
  });

  it("passes another plugin's error on verbatim", () => {
    const fault = new PluginFault("bridge", 11, "try again; later", "a\nb");
    expect(formatError(fault, "1.0.0")).toEqual({
      cniVersion: "1.0.0",
      code: 11,
      msg: "try again; later",
      details: "a\nb",
    });
  });

  it("calls what is no Fault an internal error, with the stack as details", () => {
    const error = formatError(new TypeError("x is undefined"), "1.0.0");
    expect(error).toMatchObject({
      code: 199,
      msg: expect.stringMatching(/^internal error: x is undefined; report it/),
    });
    expect(error.details).toContain("error.test.ts");
  });

  it.each([[undefined], [null], ["text"], [{}]])("survives that %j is thrown", (thrown) => {
    expect(formatError(thrown, "1.0.0")).toMatchObject({ code: 199, msg: expect.stringContaining("internal error") });
  });

  it("tells what failed first when an undo failed afterwards", async () => {
    const work = async () => {
      await using undo = new AsyncDisposableStack();
      undo.defer(() => {
        throw new Fault(Code.kernel, "route refused", "look");
      });
      undo.defer(() => {
        throw new Error("link busy");
      });
      throw new Fault(Code.authentication, "wrong PSK", "correct vpn.PSK", { details: "charon's line" });
    };
    const thrown = await work().catch((error: unknown) => error);
    expect(formatError(thrown, "1.0.0")).toEqual({
      cniVersion: "1.0.0",
      code: 105,
      msg: "wrong PSK; correct vpn.PSK",
      details: "charon's line\nalso: link busy\nalso: route refused; look",
    });
  });

  it("prefers the Fault among errors that came side by side", () => {
    const thrown = new AggregateError([new Error("aborted"), new Fault(Code.charon, "charon died", "see its log")]);
    expect(formatError(thrown, "1.0.0")).toMatchObject({ code: 103, details: "also: aborted" });
  });
});

describe("formatDelError", () => {
  it("never says what containerd takes for success", () => {
    const fault = new PluginFault(
      "bridge",
      5,
      "Not Found: link not found",
      "open /x: no such file or directory\nnot found",
    );
    const text = JSON.stringify(formatDelError(fault, "1.0.0"));
    expect(text.toLowerCase()).not.toMatch(/not found|no such file or directory/);
    expect(text).toContain("link missing");
  });

  it("leaves other errors as they are", () => {
    const fault = new Fault(Code.charon, "charon does not end", "kill it");
    expect(formatDelError(fault, "1.0.0")).toEqual(formatError(fault, "1.0.0"));
  });
});
