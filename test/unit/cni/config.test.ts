import { describe, expect, it } from "vitest";
import { decodeNetConf } from "../../../src/cni/config.ts";

const CONF = { cniVersion: "1.1.0", name: "net", type: "strongswan" };

function decode(conf: unknown, command: "ADD" | "DEL" | "CHECK" | "GC" = "ADD") {
  return decodeNetConf(typeof conf === "string" ? conf : JSON.stringify(conf), command);
}

function fault(code: number, message: string) {
  return expect.objectContaining({ name: "Fault", code, message: expect.stringContaining(message) });
}

describe("decodeNetConf", () => {
  it("gives the specification's keys, and everything as it was read", () => {
    const raw = { ...CONF, vpn: { serverIP: "10.9.0.254" }, runtimeConfig: { mac: "02::" }, args: { cni: { x: 1 } } };
    expect(decode(raw)).toEqual({ ...CONF, runtimeConfig: { mac: "02::" }, raw });
  });

  it("takes a configuration without cniVersion for 0.1.0", () => {
    expect(decode({ name: "net", type: "strongswan" }).cniVersion).toBe("0.1.0");
  });

  it.each(["", "  \n", "{", "nil", '{"name":"net",}', "\u0000"])("calls %j undecodable (6)", (text) => {
    expect(() => decode(text)).toThrow(fault(6, "; pass the network configuration as a JSON object"));
  });

  it.each(["[]", "null", "7", '"x"', "true"])("wants an object, not %s (6)", (text) => {
    expect(() => decode(text)).toThrow(fault(6, "JSON, but no object"));
  });

  it("does not quote text that it cannot decode: it may hold a secret", () => {
    expect(() => decode('{"PSK": "hunter2" oops}')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("hunter2") }),
    );
  });

  it.each(["../x", ".x", "-x", "a b", "a/b", "ü", "a\n"])("refuses the name %j (7)", (name) => {
    expect(() => decode({ ...CONF, name })).toThrow(fault(7, `name is ${JSON.stringify(name)}`));
  });

  it.each([undefined, "", null])("wants a name, not %j (7)", (name) => {
    expect(() => decode({ ...CONF, name })).toThrow(fault(7, "name is missing"));
  });

  it("wants a type (7)", () => {
    expect(() => decode({ ...CONF, type: undefined })).toThrow(fault(7, "type is missing"));
  });

  it("refuses a version that it does not speak (1), after the name", () => {
    expect(() => decode({ ...CONF, cniVersion: "9.9.9" })).toThrow(fault(1, 'cniVersion is "9.9.9"'));
    expect(() => decode({ ...CONF, cniVersion: "9.9.9", name: "" })).toThrow(fault(7, "name"));
  });

  it("reads a prevResult of any version", () => {
    const prevResult = { ip4: { ip: "10.1.2.2/24", routes: [{ dst: "0.0.0.0/0" }] } };
    expect(decode({ name: "n", type: "t", cniVersion: "0.2.0", prevResult }).prevResult).toEqual({
      interfaces: [],
      ips: [{ address: "10.1.2.2/24" }],
      routes: [{ dst: "0.0.0.0/0" }],
    });
  });

  it("refuses a broken prevResult, but not for DEL, which must clean up whatever it is given", () => {
    const conf = { ...CONF, prevResult: { ips: [{ address: 1 }] } };
    for (const command of ["ADD", "CHECK"] as const) {
      expect(() => decode(conf, command)).toThrow(fault(7, "prevResult.ips[0].address is 1"));
    }
    expect(decode(conf, "DEL")).not.toHaveProperty("prevResult");
  });

  describe("valid attachments", () => {
    const LIST = [{ containerID: "c1", ifname: "eth0" }];

    it.each(["cni.dev/valid-attachments", "cni.dev/attachments"])("are read from %s", (key) => {
      expect(decode({ ...CONF, [key]: LIST }, "GC").validAttachments).toEqual(LIST);
    });

    it("that are none are not the same as none given", () => {
      expect(decode({ ...CONF, "cni.dev/valid-attachments": [] }, "GC").validAttachments).toEqual([]);
      expect(decode(CONF, "GC")).not.toHaveProperty("validAttachments");
      for (const key of ["cni.dev/valid-attachments", "cni.dev/attachments"]) {
        expect(decode({ ...CONF, [key]: null }, "GC")).not.toHaveProperty("validAttachments");
      }
    });

    it.each([
      [{}, "is {}; give a list"],
      ["c1", 'is "c1"; give a list'],
      [["c1"], '[0] is "c1"; give an object'],
      [[{ containerID: "c1" }], "[0].ifname is missing"],
      [[...LIST, { containerID: 5, ifname: "eth0" }], "[1].containerID is 5"],
    ])("of the wrong shape are refused: %j", (list, message) => {
      expect(() => decode({ ...CONF, "cni.dev/valid-attachments": list }, "GC")).toThrow(
        fault(7, `cni.dev/valid-attachments${message.startsWith("is") ? " " : ""}${message}`),
      );
    });
  });
});
