import { Code, Fault } from "../../fault.ts";
import { family } from "../../net/address.ts";
import { aggregate } from "../../net/aggregate.ts";
import { overlaps } from "../../net/prefix.ts";
import { AGENT_NETWORK, type DeviceRecord, readDeviceRecord, writeDeviceRecord } from "../../node/record.ts";
import { usersOf } from "../../node/remove.ts";
import type { WantedTunnels } from "../driver.ts";
import type { FittingTunnels } from "./fitting.ts";

/** What the record of the driver's device says, as far as a plan decides it. */
export interface RecordWish {
  readonly interface: string;
  readonly otherDevices: readonly string[];
  readonly table?: number;
  readonly fwmark: number;
  readonly wanted: Pick<WantedTunnels, "podPrefixes" | "addresses">;
  readonly fitting: Pick<FittingTunnels, "peers" | "guarded">;
}

/** The record of the driver's first device: on disk before what it tells of is made, and written only when it changes. */
export class OwnRecord {
  readonly #before: DeviceRecord | undefined;
  #now: DeviceRecord | undefined;

  private constructor(record: DeviceRecord | undefined) {
    this.#before = record;
    this.#now = record;
  }

  /** The caller holds the device's lock. @throws Fault 7 when pods of a network have a device of that name. */
  static read(name: string): OwnRecord {
    const record = readDeviceRecord(name);
    if (record === undefined || record.network === AGENT_NETWORK || usersOf(name).length === 0) {
      return new OwnRecord(record);
    }
    throw new Fault(
      Code.invalidConfig,
      `wireguard.interface is "${name}", which pods of the network ${record.network} use`,
      'give that network an interface of its own, or wireguard {"agent": true}; or the agent another interface and port',
    );
  }

  /** As it was when it was read. */
  get before(): DeviceRecord | undefined {
    return this.#before;
  }

  get now(): DeviceRecord | undefined {
    return this.#now;
  }

  /** Brings it to the plan. @throws Fault 5. */
  wish(wish: RecordWish): DeviceRecord {
    const record = plannedRecord(wish, this.#now);
    this.#replace(record);
    return record;
  }

  /** Changes a part of it; of no effect when there is none. @throws Fault 5. */
  write(part: Partial<DeviceRecord>): void {
    if (this.#now !== undefined) this.#replace({ ...this.#now, ...part });
  }

  #replace(record: DeviceRecord): void {
    if (this.#now === undefined || canonical(record) !== canonical(this.#now)) writeDeviceRecord(record);
    this.#now = record;
  }
}

/**
 * The record that a plan makes of the one before. What only the node knows stays: the settings that were changed, the
 * subnets of pods that others have told (unless they are some other node's by now), names of keys that may still be on
 * a device. Pure.
 */
export function plannedRecord(wish: RecordWish, before: DeviceRecord | undefined): DeviceRecord {
  const { interface: name, otherDevices, table, fwmark, wanted, fitting } = wish;
  const { podPrefixes, addresses } = wanted;
  const { guarded, peers } = fitting;
  const told = (before?.podSubnets ?? []).filter((subnet) => !guarded.some((one) => overlaps(one, subnet)));
  const names = Object.entries(before?.peerNames ?? {});
  return {
    version: 1,
    interface: name,
    ...(otherDevices.length === 0 ? {} : { otherDevices }),
    network: AGENT_NETWORK,
    complete: true, // no ADD of a pod that fails takes it away
    dataPlane: before?.dataPlane ?? "userspace",
    guarded,
    podSubnets: aggregate([...told, ...podPrefixes]),
    share: podPrefixes,
    ...(table === undefined ? {} : { table }),
    fwmark,
    addresses: addresses.map((address) => ({ address, prefixLength: family(address) === 4 ? 32 : 128 })),
    sysctls: before?.sysctls ?? [],
    removeWithLastPod: false,
    peerNames: namesByKey([...names, ...peers.map((peer) => [peer.publicKey, peer.name] as const)]),
  };
}

/** As a record has them: always in the same order. Pure. */
export function namesByKey(names: Iterable<readonly [string, string]>): Record<string, string> {
  return Object.fromEntries([...names].sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** A record is what it says, in whatever order. */
function canonical(record: DeviceRecord): string {
  return JSON.stringify(Object.entries(record).sort(([one], [other]) => (one < other ? -1 : 1)));
}
