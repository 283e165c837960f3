/** The keys that are podvpn's own; all others belong to the bridge plugin, also those that we do not know. */
const OWN_KEYS: readonly string[] = ["vpn", "wireguard", "logFile", "logLevel"];

/**
 * The configuration of the bridge plugin that does the link for us: ours without our own keys. Pure.
 * In a file of its own so that a DEL loads nothing of the schema.
 */
export function delegateConfig(raw: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { ...Object.fromEntries(Object.entries(raw).filter(([key]) => !OWN_KEYS.includes(key))), type: "bridge" };
}
