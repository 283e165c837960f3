import type { AgentConfig } from "../config/agent.ts";
import { modifiedAt } from "../os/file.ts";
import {
  dropNextKey,
  type IpsecKey,
  ipsecKeys,
  nextKeyFile,
  promoteNextKey,
  type WireguardKey,
  wireguardKeys,
} from "./identity.ts";
import type { OwnKeys } from "./own-record.ts";
import type { ChangeableKeys } from "./rotator.ts";

/** The keys of this node: those that count, and those that come next while a rotation is under way. */
export interface NodeKeys {
  readonly wireguard?: WireguardKey;
  readonly nextWireguard?: WireguardKey;
  /** Absent as well where IPsec authenticates by PSK or certificate. */
  readonly ipsec?: IpsecKey;
  readonly nextIpsec?: IpsecKey;
}

/** The keys of this node, on disk and as they are now. */
export class OwnIdentity implements ChangeableKeys {
  readonly #files: KeyFiles;
  #keys: NodeKeys = {};
  /** One that is found on disk may be in use already. */
  #isHeldBack = false;
  /** Of drivers that the configuration does not have. */
  #others: readonly string[] = [];

  private constructor(files: KeyFiles) {
    this.#files = files;
  }

  /** Reads the keys of the configuration's drivers; makes those that are not there. @throws Fault 7, 5. */
  static async ensure(config: AgentConfig): Promise<OwnIdentity> {
    const identity = new OwnIdentity(keyFiles(config));
    const { wireguard, ipsec } = identity.#files;
    identity.#keys = {
      ...(wireguard && (await present({ wireguard: wireguardKeys.ensure(wireguard) }))),
      ...(wireguard && (await present({ nextWireguard: wireguardKeys.read(nextKeyFile(wireguard)) }))),
      ...(ipsec && (await present({ ipsec: ipsecKeys.ensure(ipsec) }))),
      ...(ipsec && (await present({ nextIpsec: ipsecKeys.read(nextKeyFile(ipsec)) }))),
    };
    identity.#others = await otherKeys(config);
    return identity;
  }

  /** Only reads the keys: some may not be there yet. @throws Fault 7, 5. */
  static async read(config: AgentConfig): Promise<OwnIdentity> {
    const identity = new OwnIdentity(keyFiles(config));
    const { wireguard, ipsec } = identity.#files;
    identity.#keys = {
      ...(wireguard && (await present({ wireguard: wireguardKeys.read(wireguard) }))),
      ...(ipsec && (await present({ ipsec: ipsecKeys.read(ipsec) }))),
    };
    identity.#others = await otherKeys(config);
    return identity;
  }

  /** Whether all keys are there that the configuration needs. */
  get isComplete(): boolean {
    const { wireguard, ipsec } = this.#files;
    const isThere = (file: string | undefined, key: object | undefined) => file === undefined || key !== undefined;
    return isThere(wireguard, this.#keys.wireguard) && isThere(ipsec, this.#keys.ipsec);
  }

  /** As they are now. */
  get keys(): NodeKeys {
    return this.#keys;
  }

  get publicKeys(): OwnKeys {
    const { wireguard, nextWireguard, ipsec, nextIpsec } = this.#keys;
    return {
      ...(wireguard && { wireguard: wireguard.publicKey }),
      ...(nextWireguard && { nextWireguard: nextWireguard.publicKey }),
      ...(ipsec && { ipsec: ipsec.publicKey }),
      ...(nextIpsec && { nextIpsec: nextIpsec.publicKey }),
    };
  }

  /** By which a record is known as this node's: also those of drivers that the configuration had once. */
  get knownKeys(): ReadonlySet<string> {
    return new Set([...Object.values(this.publicKeys), ...this.#others]);
  }

  get canChange(): boolean {
    const { wireguard, ipsec } = this.#files;
    return wireguard !== undefined || ipsec !== undefined;
  }

  get hasNext(): boolean {
    const { nextWireguard, nextIpsec } = this.#keys;
    return nextWireguard !== undefined || nextIpsec !== undefined;
  }

  /** With IPsec alone: WireGuard's next key has a device of its own, whose end costs nobody anything. */
  get isHeldBack(): boolean {
    return this.#isHeldBack && this.#keys.nextIpsec !== undefined;
  }

  madeAt(): number {
    const { wireguard, ipsec } = this.#files;
    const times = [wireguard, ipsec].map((file) => (file === undefined ? undefined : modifiedAt(file)));
    return Math.min(...times.filter((time) => time !== undefined));
  }

  /** Makes the next keys, those that are not there yet. @throws Fault 5. */
  async makeNext(): Promise<void> {
    const { wireguard, ipsec } = this.#files;
    this.#isHeldBack = true;
    this.#keys = {
      ...this.#keys,
      ...(wireguard && (await present({ nextWireguard: wireguardKeys.ensure(nextKeyFile(wireguard)) }))),
      ...(ipsec && (await present({ nextIpsec: ipsecKeys.ensure(nextKeyFile(ipsec)) }))),
    };
  }

  use(): void {
    this.#isHeldBack = false;
  }

  /** From now on the next keys are the keys. @throws Fault 5. */
  promote(): void {
    const { wireguard, ipsec } = this.#files;
    const { nextWireguard, nextIpsec, ...keys } = this.#keys;
    if (wireguard !== undefined && nextWireguard !== undefined) promoteNextKey(wireguard);
    if (ipsec !== undefined && nextIpsec !== undefined) promoteNextKey(ipsec);
    this.#keys = {
      ...keys,
      ...(nextWireguard && { wireguard: nextWireguard }),
      ...(nextIpsec && { ipsec: nextIpsec }),
    };
  }

  /** There are no next keys any more. @throws Fault 5. */
  withdraw(): void {
    const { wireguard, ipsec } = this.#files;
    if (wireguard !== undefined) dropNextKey(wireguard);
    if (ipsec !== undefined) dropNextKey(ipsec);
    const { nextWireguard: _, nextIpsec: __, ...keys } = this.#keys;
    this.#keys = keys;
  }
}

/** Which files a configuration's drivers have. */
interface KeyFiles {
  readonly wireguard?: string;
  readonly ipsec?: string;
}

function keyFiles({ drivers, wireguard, ipsec }: AgentConfig): KeyFiles {
  const { authentication } = ipsec;
  return {
    ...(drivers.includes("wireguard") && { wireguard: wireguard.privateKeyFile }),
    ...(drivers.includes("ipsec") && authentication.by === "key" && { ipsec: authentication.privateKeyFile }),
  };
}

/** Public keys of drivers that are not used now. Nobody needs them: one that cannot be read is none. */
async function otherKeys({ drivers, wireguard, ipsec: { authentication } }: AgentConfig): Promise<string[]> {
  const reads = [
    ...(drivers.includes("wireguard") ? [] : [wireguardKeys.read(wireguard.privateKeyFile)]),
    ...(drivers.includes("ipsec") || authentication.by !== "key"
      ? []
      : [ipsecKeys.read(authentication.privateKeyFile)]),
  ];
  const settled = await Promise.allSettled(reads);
  return settled.flatMap((one) => (one.status === "fulfilled" && one.value !== undefined ? [one.value.publicKey] : []));
}

/** An object with what is there. */
async function present<K extends string, T>(
  of: Readonly<Record<K, Promise<T | undefined>>>,
): Promise<Partial<Record<K, T>>> {
  const found: Partial<Record<K, T>> = {};
  for (const key in of) {
    const value = await of[key];
    if (value !== undefined) found[key] = value;
  }
  return found;
}
