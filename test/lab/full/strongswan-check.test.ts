import { afterAll, beforeAll, describe } from "vitest";
import type { Cluster } from "../../netns/support/cluster.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";
import { strongswanCheckSuite } from "../../netns/support/strongswan-check-suite.ts";

let cluster: Cluster<PodvpnHub>;

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(1, "kernel");
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

describe("CHECK of a pod with kernel ESP", () => {
  strongswanCheckSuite("kernel", () => cluster.node());
});
