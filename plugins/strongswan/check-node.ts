import { Code, Fault } from "../../src/fault.ts";
import { readTunnel } from "../../src/ipsec/pod-tunnel.ts";
import { type SharedAttachment, tunnelName } from "../../src/node/charon/directory.ts";
import { ensureNodeCharon } from "../../src/node/charon/ensure.ts";
import { charonLost } from "../../src/node/charon/lost.ts";
import { requireSameIPs } from "./virtual-ips.ts";

/**
 * The tunnel of a pod in the node's charon. One that does not run, or does not answer, is started again with the tunnels
 * of all pods, and told all the same. @throws Fault 108, those of {@link ensureNodeCharon}.
 */
export async function checkShared(record: SharedAttachment): Promise<void> {
  await using charon = await ensureNodeCharon({ logLevel: 1 });
  if (charon.started) {
    const waiting = charon.recovered?.waiting.length ?? 0;
    throw new Fault(
      Code.checkFailed,
      "the node's charon did not run, or did not answer: its pods' tunnels were not looked after",
      waiting === 0
        ? "nothing is left to do: it has been started again with all tunnels"
        : `it has been started again; see that the hub answers, for which ${waiting} pods still wait`,
    );
  }
  const reading = readTunnel(charon.vici, record.virtualSubnets, tunnelName(record));
  requireSameIPs(
    record,
    await reading.catch((error: unknown) => {
      throw charonLost("at CHECK", error);
    }),
  );
}
