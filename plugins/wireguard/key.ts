import type { WireguardConfig } from "../../src/config/wireguard.ts";
import type { Secret } from "../../src/secret.ts";
import { ensurePrivateKey } from "../../src/wireguard/keys.ts";

/**
 * The private key of the configuration: out of its wg(8) file, or of its key file, which is made once and stays.
 * @param directory Of the attachment: a pod without either gets a key that goes with it. @throws Fault 5, 7.
 */
export function privateKeyOf(config: WireguardConfig, directory: string): Promise<Secret> {
  if (config.privateKey !== undefined) return Promise.resolve(config.privateKey);
  return ensurePrivateKey("wireguard.privateKeyFile", config.privateKeyFile ?? `${directory}/private.key`);
}
