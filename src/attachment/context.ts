import type { IdentityValues } from "../config/identity.ts";
import type { SecretFileAccess } from "../config/psk-file.ts";

/** Whom a configuration is read for; STATUS asks for no container and has no CNI_ARGS. */
export interface ConfigSubject {
  readonly containerID: string;
  readonly ifname: string;
  readonly args?: ReadonlyMap<string, string>;
}

/** STATUS reads the configuration as for a pod, without one. */
export const NO_POD: ConfigSubject = { containerID: "status", ifname: "eth0" };

/** What a plugin's configuration is read with: all that is outside of it. */
export async function configContext(subject: ConfigSubject): Promise<IdentityValues & SecretFileAccess> {
  const [{ readSecretFile }, { hostname }] = await Promise.all([import("../os/file.ts"), import("node:os")]);
  const { containerID, ifname, args } = subject;
  return {
    containerID,
    ifname,
    node: hostname(),
    euid: process.geteuid?.() ?? 0,
    readSecretFile,
    ...(args === undefined ? {} : { args }),
  };
}
