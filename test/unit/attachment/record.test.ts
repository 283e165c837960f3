import fc from "fast-check";
import { expect, test } from "vitest";
import { attachmentDirectory } from "../../../src/attachment/record.ts";
import { viciSocket } from "../../../src/ipsec/strongswan-conf.ts";

const containerID = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,150}$/);
const ifname = fc.stringMatching(/^[a-z0-9.+-]{1,15}$/).filter((name) => name !== "." && name !== "..");

test("charon's socket always fits into a socket's address (107 bytes)", () => {
  fc.assert(
    fc.property(containerID, ifname, (id, name) => {
      expect(Buffer.byteLength(viciSocket(attachmentDirectory({ containerID: id, ifname: name })))).toBeLessThanOrEqual(
        107,
      );
    }),
  );
});

test("two attachments never share a directory", () => {
  fc.assert(
    fc.property(containerID, ifname, containerID, ifname, (id, name, otherId, otherName) => {
      const same = id === otherId && name === otherName;
      const one = attachmentDirectory({ containerID: id, ifname: name });
      expect(one === attachmentDirectory({ containerID: otherId, ifname: otherName })).toBe(same);
    }),
  );
  expect(attachmentDirectory({ containerID: "a", ifname: "b.c" })).not.toBe(
    attachmentDirectory({ containerID: "a.b", ifname: "c" }),
  );
});
