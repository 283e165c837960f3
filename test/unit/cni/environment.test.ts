import { describe, expect, it } from "vitest";
import { legalIfname, parseArgs, parseEnvironment } from "../../../src/cni/environment.ts";

const FULL = {
  CNI_CONTAINERID: "c0ffee",
  CNI_NETNS: "/run/netns/pod",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin:/usr/lib/cni",
};

function fault(message: string | RegExp) {
  const text = typeof message === "string" ? expect.stringContaining(message) : expect.stringMatching(message);
  return expect.objectContaining({ name: "Fault", code: 4, message: text });
}

describe("parseEnvironment", () => {
  it.each(["ADD", "CHECK"])("reads all variables of %s", (command) => {
    expect(parseEnvironment({ ...FULL, CNI_COMMAND: command, CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=web" })).toEqual({
      command,
      containerID: "c0ffee",
      netns: "/run/netns/pod",
      ifname: "eth0",
      args: new Map([
        ["IgnoreUnknown", "1"],
        ["K8S_POD_NAME", "web"],
      ]),
      path: ["/opt/cni/bin", "/usr/lib/cni"],
    });
  });

  it.each([undefined, ""])("lets DEL go without a namespace (%j)", (netns) => {
    const environment = parseEnvironment({ ...FULL, CNI_COMMAND: "DEL", CNI_NETNS: netns });
    expect(environment).toMatchObject({ command: "DEL", containerID: "c0ffee" });
    expect(environment).not.toHaveProperty("netns");
  });

  it.each(["GC", "STATUS"])("needs nothing but CNI_PATH for %s", (command) => {
    expect(parseEnvironment({ CNI_COMMAND: command, CNI_PATH: "/p" })).toEqual({ command, path: ["/p"] });
  });

  it("needs nothing for VERSION, and for STATUS", () => {
    expect(parseEnvironment({ CNI_COMMAND: "VERSION" })).toEqual({ command: "VERSION" });
    expect(parseEnvironment({ CNI_COMMAND: "STATUS" })).toEqual({ command: "STATUS", path: [] });
  });

  it.each(["ADD", "DEL", "CHECK"])("does without CNI_PATH for %s, as the specification has it", (command) => {
    expect(parseEnvironment({ ...FULL, CNI_COMMAND: command, CNI_PATH: undefined })).toMatchObject({ path: [] });
  });

  it.each([
    ["ADD", "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME missing"],
    ["CHECK", "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME missing"],
    ["DEL", "CNI_CONTAINERID, CNI_IFNAME missing"],
    ["GC", "CNI_PATH missing"],
  ])("names all that %s misses at once", (command, message) => {
    expect(() => parseEnvironment({ CNI_COMMAND: command })).toThrow(fault(message));
    expect(() => parseEnvironment({ CNI_COMMAND: command, CNI_PATH: "", CNI_IFNAME: "" })).toThrow(fault(message));
  });

  it.each(["add", "UPDATE", "constructor"])("refuses the command %s", (command) => {
    expect(() => parseEnvironment({ ...FULL, CNI_COMMAND: command })).toThrow(
      fault(`CNI_COMMAND is "${command}"; set it to one of ADD, DEL, CHECK, GC, STATUS, VERSION`),
    );
  });

  it.each(["../etc", "-c", ".c", "_c", "a/b", "a b", "c\n", "ü"])("refuses the container id %j", (id) => {
    for (const CNI_COMMAND of ["ADD", "DEL", "CHECK"]) {
      expect(() => parseEnvironment({ ...FULL, CNI_COMMAND, CNI_CONTAINERID: id })).toThrow(
        fault("CNI_CONTAINERID is"),
      );
    }
  });

  it.each(["c", "0", "a_b.c-d", "A".repeat(256)])("accepts the container id %s", (id) => {
    expect(parseEnvironment({ ...FULL, CNI_COMMAND: "ADD", CNI_CONTAINERID: id })).toMatchObject({ containerID: id });
  });
});

describe("legalIfname", () => {
  it.each(["eth0", "a", "123456789012345", "ü", "eth0.5", "..."])("accepts %s", (name) => {
    expect(legalIfname(name)).toBe(name);
  });

  it.each(["", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\u00a0b", "a\u2003b", "1234567890123456", "üüüüüüüü"])(
    "refuses %j",
    (name) => {
      expect(() => legalIfname(name)).toThrow(fault("CNI_IFNAME is"));
    },
  );
});

describe("parseArgs", () => {
  it.each([
    ["", []],
    ["A=1", [["A", "1"]]],
    ["A=1;", [["A", "1"]]],
    ["A=", [["A", ""]]],
    ["A=b=c", [["A", "b=c"]]],
    [
      "A=1;B=2;A=3",
      [
        ["A", "3"],
        ["B", "2"],
      ],
    ],
  ])("reads %j", (text, entries) => {
    expect([...parseArgs(text)]).toEqual(entries);
  });

  it.each([
    ["A", "A"],
    ["=1", "=1"],
    ["A=1;B", "B"],
  ])("refuses %j and names the part", (text, part) => {
    expect(() => parseArgs(text)).toThrow(fault(`CNI_ARGS has "${part}"`));
  });
});
