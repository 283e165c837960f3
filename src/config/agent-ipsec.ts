import { Secret } from "../secret.ts";
import type { agentIpsecFields } from "./agent-fields.ts";
import type { Values } from "./fields.ts";
import type { Issue } from "./issues.ts";
import { readOwnFile, readPskFile, type SecretFileAccess } from "./psk-file.ts";

/** How nodes prove to each other who they are (RFC 7296, section 2.15). */
export type IpsecAuthentication =
  /** Raw ed25519 keys (RFC 7670, RFC 8420): this node's own is made when there is none. */
  | { readonly by: "key"; readonly privateKeyFile: string }
  | { readonly by: "psk"; readonly pskFile: string; readonly psk: Secret }
  | {
      readonly by: "x509";
      readonly certificateFile: string;
      readonly privateKeyFile: string;
      readonly caFiles: readonly string[];
    };

type Ipsec = Partial<Values<ReturnType<typeof agentIpsecFields>>>;
type FileKey = "privateKeyFile" | "pskFile" | "certificateFile" | "caFiles";

/** The default of `privateKeyFile` with raw keys. */
const OWN_KEY = "/var/lib/podvpn/mesh/ipsec.key";

/** Which files each way needs, and which it may have besides. */
const FILES: Readonly<Record<IpsecAuthentication["by"], { needs: readonly FileKey[]; may: readonly FileKey[] }>> = {
  key: { needs: [], may: ["privateKeyFile"] },
  psk: { needs: ["pskFile"], may: [] },
  x509: { needs: ["privateKeyFile", "certificateFile", "caFiles"], may: [] },
};

/**
 * Reads how the node authenticates, and the files for it that must be there; what is wrong goes to `issues`.
 * @param raw The section as it stands in the configuration.
 * @returns Undefined when something is wrong.
 */
export function ipsecAuthentication(
  raw: Readonly<Record<string, unknown>>,
  values: Ipsec,
  access: SecretFileAccess,
  issues: Issue[],
): IpsecAuthentication | undefined {
  const { authentication: by, privateKeyFile, pskFile, certificateFile, caFiles } = values;
  if (by === undefined) return undefined;
  issues.push(...superfluous(raw, by), ...missing(raw, by));
  if (by === "key") return { by, privateKeyFile: privateKeyFile ?? OWN_KEY };
  if (by === "psk") {
    const psk = pskFile === undefined ? undefined : readPskFile("ipsec.pskFile", pskFile, access);
    if (pskFile !== undefined && psk instanceof Secret) return { by, pskFile, psk };
    if (psk !== undefined && !(psk instanceof Secret)) issues.push(psk);
    return undefined;
  }
  const isOwn = (key: FileKey, path: string | undefined, others: "nobody" | "readers") => {
    const bytes = path === undefined ? undefined : readOwnFile(`ipsec.${key}`, path, others, access);
    if (bytes !== undefined && !(bytes instanceof Uint8Array)) issues.push(bytes);
  };
  isOwn("privateKeyFile", privateKeyFile, "nobody");
  isOwn("certificateFile", certificateFile, "readers");
  for (const path of caFiles ?? []) isOwn("caFiles", path, "readers");
  if (privateKeyFile === undefined || certificateFile === undefined || caFiles === undefined) return undefined;
  return { by, certificateFile, privateKeyFile, caFiles };
}

/** A file that nobody reads would be taken for one that counts. */
function superfluous(raw: Readonly<Record<string, unknown>>, by: IpsecAuthentication["by"]): Issue[] {
  const { needs, may } = FILES[by];
  const keys: readonly FileKey[] = ["privateKeyFile", "pskFile", "certificateFile", "caFiles"];
  return keys
    .filter((key) => isGiven(raw, key) && !needs.includes(key) && !may.includes(key))
    .map((key) => ({
      what: `ipsec.${key} is given, and ipsec.authentication is "${by}"`,
      remedy: "take it out, or give the authentication that it is for",
    }));
}

function missing(raw: Readonly<Record<string, unknown>>, by: IpsecAuthentication["by"]): Issue[] {
  return FILES[by].needs
    .filter((key) => !isGiven(raw, key))
    .map((key) => ({
      what: `ipsec.${key} is missing`,
      remedy: `give the absolute path of a file: authentication "${by}" needs it`,
    }));
}

function isGiven(raw: Readonly<Record<string, unknown>>, key: FileKey): boolean {
  return (raw[key] ?? undefined) !== undefined;
}
