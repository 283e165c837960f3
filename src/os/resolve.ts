import { Fault } from "../fault.ts";
import { run } from "./process.ts";

/** At once: each is a process of its own. */
const CONCURRENT = 16;

/**
 * The addresses of host names, as the node's own name service has them (/etc/hosts, DNS, search domains: getaddrinfo(3)),
 * the preferred one first; a name that has none in time is not in the map.
 *
 * By getent(1) and not by node:dns: a process that asked `dns.lookup` for a name cannot end before getaddrinfo does
 * (6 s with a dead name server, Node 24), and node:dns's own resolver knows neither /etc/hosts nor search domains.
 * @param timeout Milliseconds for each name.
 */
export async function resolveNames(names: readonly string[], timeout: number): Promise<Map<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  const waiting = [...new Set(names)];
  const worker = async () => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const addresses = await resolveName(name, timeout);
      if (addresses.length > 0) found.set(name, addresses);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, worker));
  return found;
}

async function resolveName(name: string, timeout: number): Promise<string[]> {
  try {
    const { code, stdout } = await run("getent", ["ahosts", name], { timeout });
    if (code !== 0) return [];
    const lines = stdout.toString().split("\n");
    return [...new Set(lines.map((line) => line.slice(0, line.indexOf(" "))))].filter((address) => address !== "");
  } catch (error) {
    if (error instanceof Fault) return []; // too late, or no getent: the same to whoever asked
    throw error;
  }
}
