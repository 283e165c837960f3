// A program of its own that runs on a node and does there what the agent does with one driver: one JSON line in, one out.
// What it starts outlives it, as it would the agent.
//   mesh-driver.ts MODULE OPTIONS    MODULE exports `makeDriver(options)`
import { createInterface } from "node:readline";
import type { ApplyBasis, TunnelDriver, WantedTunnels } from "../../../src/agent/driver.ts";
import { Fault } from "../../../src/fault.ts";

/** What can be asked for. */
export type DriverRequest =
  | { readonly verb: "apply"; readonly wanted: WantedTunnels; readonly basis: ApplyBasis }
  /** Is answered when the daemon or the device has died. */
  | { readonly verb: "observe" | "died" | "remove" | "keyChange" };

/** What a module makes a driver by. */
export interface DriverModule {
  makeDriver(options: unknown): TunnelDriver;
}

async function answer(driver: TunnelDriver, request: DriverRequest): Promise<unknown> {
  switch (request.verb) {
    case "apply":
      return await driver.apply(request.wanted, request.basis);
    case "observe":
      return (await driver.observe()) ?? null;
    case "died":
      return await driver.died(new AbortController().signal);
    case "keyChange":
      return driver.keyChange?.() ?? null;
    case "remove":
      await driver.remove();
      return null;
  }
}

async function main(): Promise<void> {
  // Each change of the world outside goes to the file PODVPN_EFFECTS (src/os/effect.ts).
  Reflect.set(globalThis, "PODVPN_KILL_AFTER_ENABLED", true);
  const [module = "", options = "null"] = process.argv.slice(2);
  const { makeDriver }: DriverModule = await import(module);
  const driver = makeDriver(JSON.parse(options));
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const space = line.indexOf(" ");
      const id = line.slice(0, space);
      answer(driver, JSON.parse(line.slice(space)) as DriverRequest).then(
        (result) => process.stdout.write(`${id} ok ${JSON.stringify(result)}\n`),
        (error: unknown) => {
          const { code, details } = error instanceof Fault ? error : {};
          process.stdout.write(`${id} error ${JSON.stringify({ message: String(error), code, details })}\n`);
        },
      );
    })
    .on("close", () => process.exit(0));
  process.stdout.write(`ready ${process.pid}\n`);
}

if (process.argv[1] === import.meta.filename) await main();
