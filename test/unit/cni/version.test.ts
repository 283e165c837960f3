import { describe, expect, it } from "vitest";
import { atLeast, highestCommon, parseVersion, supportedVersions } from "../../../src/cni/version.ts";
import { Fault } from "../../../src/fault.ts";

describe("parseVersion", () => {
  it.each([undefined, null, ""])("takes %j for 0.1.0", (value) => {
    expect(parseVersion(value, "cniVersion")).toBe("0.1.0");
  });

  it.each(supportedVersions)("knows %s", (version) => {
    expect(parseVersion(version, "cniVersion")).toBe(version);
  });

  it.each(["1.2.0", "0.3", "v1.0.0", "1.0.0 ", 1])("refuses %j with code 1, the value and the list", (value) => {
    const parse = () => parseVersion(value, "cniVersion");
    expect(parse).toThrow(Fault);
    expect(parse).toThrow(
      expect.objectContaining({
        code: 1,
        message: `cniVersion is ${JSON.stringify(value)}; set it to one of ${supportedVersions.join(", ")}`,
      }),
    );
  });
});

describe("atLeast", () => {
  it("orders every version after those before it", () => {
    for (const [i, one] of supportedVersions.entries()) {
      for (const [j, other] of supportedVersions.entries()) expect(atLeast(one, other)).toBe(i >= j);
    }
  });
});

describe("highestCommon", () => {
  it.each([
    [["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"], "1.0.0"],
    [["1.1.0", "0.4.0"], "1.1.0"],
    [["9.0.0", "0.3.1"], "0.3.1"],
    [["0.1.0", "0.2.0"], undefined],
    [[], undefined],
    [[7, null], undefined],
  ])("of %j from 0.3.0 on is %s", (offered, common) => {
    expect(highestCommon(offered, "0.3.0")).toBe(common);
  });
});
