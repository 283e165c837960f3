import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { type HubConfig, parseHubConfig } from "../../../src/config/hub.ts";
import { hubFields } from "../../../src/config/hub-fields.ts";

const text = readFileSync(new URL("../../../conf-examples/hub.yaml", import.meta.url), "utf8");

function read(yaml: string): HubConfig {
  return parseHubConfig(parse(yaml), "hub.yaml", {
    euid: 0,
    readSecretFile: () => ({ uid: 0, mode: 0o100600, bytes: Buffer.from("key") }),
  });
}

test("the example is a configuration, and what it shows as a default is one", () => {
  const { listen, ...shown } = read(text.replaceAll(/^#(\w)/gm, "$1"));
  expect(listen).toEqual(["10.9.0.254", "fd00:9::fe"]); // it says that this is an example
  expect({ ...shown, listen: [] }).toEqual(read(text));
});

test("the example with a key for each identity is one, too", () => {
  const each = text.replace(/^pskFile: .*$/m, "").replace(/^# (identities:| {2}- identity:.*| {4}pskFile:.*)$/gm, "$1");
  expect(read(each).psks).toEqual([{ identity: "shop.eth0@node-1", psk: expect.anything() }]);
});

test("the example has every key", () => {
  for (const key of Object.keys(hubFields())) expect(text).toMatch(new RegExp(`^(?:#|# )?${key}:`, "m"));
});
