import { describe, expect, test } from "vitest";
import { planInstall } from "../../../src/cli/install.ts";
import { planUninstall } from "../../../src/cli/uninstall.ts";

describe("planInstall", () => {
  test("copies once and links the other names", () => {
    expect(planInstall(false, [])).toEqual([
      { do: "copy", program: "podvpn" },
      { do: "link", program: "strongswan" },
      { do: "link", program: "wireguard" },
    ]);
  });

  test("does nothing when all is in place", () => {
    expect(planInstall(true, ["podvpn", "strongswan", "wireguard"])).toEqual([]);
  });

  test("links again what another version or program has taken", () => {
    expect(planInstall(true, ["podvpn", "wireguard"])).toEqual([{ do: "link", program: "strongswan" }]);
  });

  test("an upgrade leaves no name with the old version", () => {
    expect(planInstall(false, ["podvpn", "strongswan", "wireguard"])).toEqual(planInstall(false, []));
  });
});

describe("planUninstall", () => {
  test("removes ours and the traces, keeps and tells what is foreign, skips what is absent", () => {
    const found = new Map([
      ["/bin/podvpn", "ours"],
      ["/bin/strongswan", "foreign"],
      ["/bin/wireguard", "absent"],
    ] as const);
    expect(planUninstall(found, ["/var/lib/podvpn"])).toEqual({
      remove: ["/bin/podvpn", "/var/lib/podvpn"],
      keep: ["keep /bin/strongswan: it is not podvpn's"],
    });
  });
});
