import type { StrongswanAttachment } from "../attachment/record.ts";
import { openVici } from "../ipsec/charon.ts";
import { POD_CONNECTION } from "../ipsec/connection.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { NODE_CHARON_DIRECTORY, tunnelName } from "../node/charon/directory.ts";

/** A pod with a tunnel to a hub. */
interface Pod {
  readonly directory: string;
  readonly record: StrongswanAttachment;
}

/** Milliseconds that one charon gets. */
const ANSWER = 2000;

/** Of the pods of a network, so many are asked: they have the same hub. */
const ASKED = 3;

/** The hubs to which the pods are connected, or try to be, as their charons have it. Who does not answer is left out. */
export async function hubAddresses(attachments: readonly Pod[]): Promise<Address[]> {
  const networks = Map.groupBy(attachments, ({ record }) => record.network);
  const asked = [...networks.values()].flatMap((pods) => pods.slice(-ASKED));
  const answers = await Promise.all(asked.map((pod) => hubsOf(pod).catch(() => [])));
  return [...new Set(answers.flat())];
}

async function hubsOf({ directory, record }: Pod): Promise<Address[]> {
  const own = record.shared === undefined;
  await using vici = await openVici(own ? directory : NODE_CHARON_DIRECTORY, ANSWER);
  const addresses: string[] = [];
  const ike = own ? POD_CONNECTION : tunnelName(record);
  for await (const { remoteAddrs } of vici.listConns({ ike }, { timeout: ANSWER })) {
    addresses.push(...remoteAddrs);
  }
  return addresses.map(parseAddress).filter((address) => address !== undefined);
}
