import type { ExecResult } from "../../../src/testbed/place.ts";

/** A container of a pod of its own, removed at the end of its scope. */
export interface Container extends AsyncDisposable {
  /** The runtime's own. */
  readonly id: string;
  /** The addresses that the runtime shows for it, the first of each family. */
  readonly addresses: readonly string[];
  /** Runs a program in it. A program that fails is a result like any other. */
  exec(argv: readonly [string, ...string[]]): Promise<ExecResult>;
  /** SIGKILL for all that runs in it, and for the process of the runtime's that watches it. */
  kill(): Promise<void>;
  /** Stops and removes it, with its network; twice is fine. */
  remove(): Promise<void>;
}

/** A container runtime of one node. */
export interface ContainerRuntime extends AsyncDisposable {
  /** Starts a container in a pod of its own. @throws Error with what the runtime says when it cannot. */
  run(name: string): Promise<Container>;
}

/** Whether an address answers one ICMP echo request out of a container within two seconds. */
export async function pings(container: Container, address: string): Promise<boolean> {
  return (await container.exec(["ping", "-c", "1", "-W", "2", address])).code === 0;
}

/** The first address of a container, by which its peers know it. */
export function addressOf(container: Container): string {
  const [address] = container.addresses;
  if (address === undefined) throw new Error("the runtime shows no address");
  return address;
}
