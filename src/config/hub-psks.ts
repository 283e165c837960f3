import { Secret } from "../secret.ts";
import { identityFields } from "./hub-fields.ts";
import { parseItem } from "./hub-item.ts";
import { type Issue, pathOf, shown } from "./issues.ts";
import { readPskFile, type SecretFileAccess } from "./psk-file.ts";

/** One key for whoever knows it, or one for each identity. */
export type HubPsks = Secret | readonly IdentityPsk[];

export interface IdentityPsk {
  readonly identity: string;
  readonly psk: Secret;
}

/** Reads `pskFile` or `identities`, and the files; what is wrong goes to `issues`. */
export function hubPsks(
  raw: Readonly<Record<string, unknown>>,
  values: { readonly pskFile?: string | undefined; readonly identities?: unknown[] | undefined; identity?: string },
  access: SecretFileAccess,
  issues: Issue[],
): HubPsks | undefined {
  const one = (raw.pskFile ?? undefined) !== undefined;
  const each = (raw.identities ?? undefined) !== undefined;
  if (one === each) {
    const what = one ? "pskFile and identities are both given" : "pskFile is missing";
    const remedy = one
      ? "take one of them out"
      : "give the absolute path of a file with the key of all pods, or identities with a key each";
    issues.push({ what, remedy });
    return undefined;
  }
  if (each) return identitiesOf(values.identities ?? [], values.identity, access, issues);
  return values.pskFile === undefined ? undefined : secretIn("pskFile", values.pskFile, access, issues);
}

function identitiesOf(
  items: readonly unknown[],
  own: string | undefined,
  access: SecretFileAccess,
  issues: Issue[],
): readonly IdentityPsk[] {
  // charon (5.9.8) compares names without regard to capitals.
  const taken = new Map(own === undefined ? [] : [[own.toLowerCase(), "identity, the hub's own"]]);
  return items.flatMap((item, index) => {
    const path = pathOf("identities", index);
    const parsed = parseItem(identityFields(), item, path);
    issues.push(...parsed.issues);
    if (!parsed.complete) return [];
    const { identity, pskFile } = parsed.values;
    const other = taken.get(identity.toLowerCase());
    if (other !== undefined) {
      const what = `${pathOf(path, "identity")} is ${shown(identity)}, and so is ${other}`;
      issues.push({ what, remedy: "give each an identity of its own, apart from capitals" });
    }
    taken.set(identity.toLowerCase(), pathOf(path, "identity"));
    const psk = secretIn(pathOf(path, "pskFile"), pskFile, access, issues);
    return psk === undefined ? [] : [{ identity, psk }];
  });
}

function secretIn(field: string, path: string, access: SecretFileAccess, issues: Issue[]): Secret | undefined {
  const psk = readPskFile(field, path, access);
  if (psk instanceof Secret) return psk;
  issues.push(psk);
  return undefined;
}
