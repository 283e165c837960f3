import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DIST } from "../../netns/support/cluster.ts";
import { DemoMachine, step, storiesOf, wideLines } from "../../netns/support/demo-machine.ts";
import { withoutProgram } from "../../netns/support/mounted.ts";

const DEMO = [`${DIST}/podvpn`, "demo", "mesh"] as const;
/** Of the demo, on a machine with several times as much to do. */
const TIMEOUT = { timeout: 300_000 };
/** Of a test with a whole demo in it. */
const LONG = 400_000;

let machine: DemoMachine;
beforeAll(async () => {
  machine = await DemoMachine.create();
});
afterAll(() => machine[Symbol.asyncDispose]());

async function withoutPing<Result>(act: () => Promise<Result>): Promise<Result> {
  await using _noPing = await withoutProgram(machine.node, "/usr/bin/ping");
  return await act();
}

describe("the demo of the mesh", () => {
  it(
    "says what did not come, goes on with the other driver, and fails",
    async () => {
      const { code, stdout, stderr } = await withoutPing(() => machine.node.exec(DEMO, { ...TIMEOUT, check: false }));
      expect(code).toBe(1);
      for (const driver of ["wireguard", "ipsec"]) {
        expect(stderr).toMatch(new RegExp(`^podvpn demo: mesh-${driver}: step 2: .*pings from a1 to b1 answered`, "m"));
      }
      for (const story of storiesOf(stdout)) expect(step(story, 3)).toBe("there is no step 3");
      await machine.nothingLeft();
    },
    LONG,
  );

  it.each([
    ["INT", "^1\\. ", 130],
    ["TERM", "^6\\. ", 143],
  ])(
    "takes everything down on SIG%s at %j",
    async (signal, moment, status) => {
      const demo = machine.node.spawn(DEMO);
      await demo.line(new RegExp(moment), TIMEOUT.timeout);
      await machine.node.exec(["pkill", `-${signal}`, "-o", "-f", DEMO.join(" ")]);
      expect(await demo.ended).toBe(`exit status ${status}`);
      expect(demo.lines.at(-1)).toBe(`podvpn demo: interrupted by SIG${signal}; everything is taken down`);
      await machine.nothingLeft();
    },
    LONG,
  );

  it(
    "is gone when it is killed",
    async () => {
      const demo = machine.node.spawn(DEMO);
      await demo.line(/^3\. /, TIMEOUT.timeout);
      await machine.node.exec(["pkill", "-KILL", "-o", "-f", DEMO.join(" ")]);
      await demo.ended;
      await machine.nothingLeft();
    },
    LONG,
  );

  it(
    "stays up with --keep until --down, with its agents, and the commands that it prints work",
    async () => {
      const { stdout } = await machine.node.exec([...DEMO, "--keep"], TIMEOUT);
      expect(wideLines(stdout)).toEqual([]);
      const kept = stdout.split(/^(?=mesh-\w+ stays up)/m).slice(1);
      expect(kept).toHaveLength(2);
      for (const text of kept) {
        const run = async (pattern: RegExp, more = "") => {
          return (await machine.node.exec(["sh", "-c", `${pattern.exec(text)?.[0].trim()} ${more}`])).stdout;
        };
        expect(await run(/^ .*\/podvpn rotate$/m)).toContain("the new keys count");
        const graph = await run(/^ .*\/podvpn graph$/m);
        expect(graph.match(/^node-a +node-[bcde] +(?:wireguard|ipsec) +(?:up|degraded) /gm)).toHaveLength(4);
        expect(await run(/^ .* ping 10.*/m, "-c 2")).toContain("2 received");
      }
      expect((await machine.node.exec([...DEMO, "--down"])).stdout).toMatch(
        /^taken down: mesh-wireguard \(.*node-e.*\)\ntaken down: mesh-ipsec \(.*node-e.*\)\n$/,
      );
      await machine.nothingLeft();
    },
    LONG,
  );
});
