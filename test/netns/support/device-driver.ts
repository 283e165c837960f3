// A program of its own that runs on a node and does there what a plugin does with a device: one JSON line in, one out.
// What it starts outlives it, as it would a plugin.
import { createInterface } from "node:readline";
import { Fault } from "../../../src/fault.ts";
import { lockDirectory } from "../../../src/os/lock.ts";
import { openNetns } from "../../../src/os/namespace.ts";
import type { DeviceChange } from "../../../src/wireguard/device.ts";
import { ensureDevice, openDevice, removeDevice } from "../../../src/wireguard/open.ts";
import { decode, encode } from "./device-wire.ts";

/** Which device. */
export interface Which {
  readonly name: string;
  /** Where it was moved: path of the namespace, and its name there. */
  readonly moved?: { readonly netns: string; readonly name: string };
}

/** What can be asked for. */
export type Request = Which &
  (
    | { readonly verb: "ensure"; readonly dataplane: "auto" | "kernel" | "userspace" }
    | { readonly verb: "open" }
    | { readonly verb: "read" }
    | { readonly verb: "remove" }
    | { readonly verb: "apply"; readonly change: DeviceChange }
  );

/** Where the device's pid file and log are on the node. */
export function directoryOf(name: string): string {
  return `/run/podvpn/devices/${name}`;
}

async function answer(request: Request): Promise<unknown> {
  const { name } = request;
  using held = new DisposableStack();
  const moved = request.moved && { ...request.moved, netns: held.use(openNetns(request.moved.netns)) };
  const options = { name, directory: directoryOf(name), ...(moved === undefined ? {} : { moved }) };
  const lock = held.use(await lockDirectory(options.directory, { create: true, wait: 30_000 }));
  if (lock === undefined) throw new TypeError("no lock");
  if (request.verb === "remove") return await removeDevice(options);
  if (request.verb === "ensure") {
    const { device, made } = await ensureDevice({ ...options, dataplane: request.dataplane, lockFd: lock.fd });
    held.use(device);
    return { made, dataPlane: device.dataPlane };
  }
  const device = held.use(await openDevice(options));
  if (request.verb === "open") return device?.dataPlane;
  if (device === undefined) throw new TypeError(`there is no device ${name}`);
  return request.verb === "read" ? await device.read() : await device.apply(request.change);
}

function main(): void {
  createInterface({ input: process.stdin }).on("line", (line) => {
    const space = line.indexOf(" ");
    const id = line.slice(0, space);
    answer(decode(line.slice(space)) as Request).then(
      (result) => process.stdout.write(`${id} ok ${encode(result ?? null)}\n`),
      (error: unknown) => {
        const { code, details } = error instanceof Fault ? error : {};
        process.stdout.write(`${id} error ${JSON.stringify({ message: String(error), code, details })}\n`);
      },
    );
  });
  process.stdout.write("ready\n");
}

if (process.argv[1] === import.meta.filename) main();
