import type { Issue } from "./issues.ts";
import { issuesFault, shown } from "./issues.ts";

/** What the placeholders of a template stand for. */
export interface IdentityValues {
  readonly containerID: string;
  /** Name of the interface inside the container. */
  readonly ifname: string;
  /** Name of this node. */
  readonly node: string;
  /** CNI_ARGS. Undefined when no container is asked for (STATUS): `{args.NAME}` then stands for its name. */
  readonly args?: ReadonlyMap<string, string>;
}

/** For messages and the README. */
export const IDENTITY_EXPECTED =
  "1 to 255 printable ASCII characters without white space, quotes, braces, backslashes and asterisks, not %any or an unspecified address";

/** What strongSwan takes for "any identity" (identification.c, 5.9.8), besides the asterisk. */
const ANY: readonly string[] = ["%any", "%any6", "0.0.0.0", "::", "0::0"];

/**
 * Whether `text` can be an IKE identity of ours. strongSwan derives the type from the text: with `=` a distinguished
 * name, an address where it is one, with `@` a mail address (at the beginning: a domain name; `@#`: hexadecimal), else
 * a domain name; `keyid:`, `fqdn:` and the like force one. All that is left to the user; what is refused is what would
 * be a pattern, no identity, or unreadable in logs and listings.
 */
export function legalIdentity(text: string): boolean {
  return text.length <= 255 && /^[!-~]+$/.test(text) && !/["'`{}\\*]/.test(text) && !ANY.includes(text);
}

/**
 * The identity that `template` makes of `values`, as {@link expandTemplate} does it. Issues also for a result that is
 * no identity.
 */
export function identityOf(
  template: string,
  values: IdentityValues,
): { readonly identity: string; readonly issues: readonly Issue[] } {
  const { text: identity, issues } = expandTemplate("vpn.identity", template, values);
  if (issues.length > 0 || legalIdentity(identity)) return { identity, issues };
  const becomes = identity === template ? "" : `, which becomes ${shown(identity)}`;
  const what = `vpn.identity is ${shown(template)}${becomes}`;
  return { identity, issues: [{ what, remedy: `give ${IDENTITY_EXPECTED}` }] };
}

/**
 * The text that `template` makes of `values`: `{containerID}`, `{ifname}`, `{node}` and `{args.NAME}` (of CNI_ARGS) are
 * replaced, each once: a value with braces is not read again. Issues for every other placeholder, and for a NAME that
 * CNI_ARGS does not have.
 * @param field The key of the configuration that has the template.
 */
export function expandTemplate(
  field: string,
  template: string,
  values: IdentityValues,
): { readonly text: string; readonly issues: readonly Issue[] } {
  const issues: Issue[] = [];
  const text = template.replaceAll(/\{([^{}]*)\}/g, (placeholder, name: string) => {
    const value = lookUp(name, values);
    if (value === undefined) issues.push(unknownPlaceholder(field, placeholder, name, values));
    return value ?? "";
  });
  return { text, issues };
}

/** {@link identityOf} for those who want nothing but the identity. @throws Fault 7. */
export function expandIdentity(template: string, values: IdentityValues): string {
  const { identity, issues } = identityOf(template, values);
  const [first, ...others] = issues;
  if (first !== undefined) throw issuesFault([first, ...others]);
  return identity;
}

function lookUp(name: string, values: IdentityValues): string | undefined {
  const { containerID, ifname, node, args } = values;
  if (name === "containerID") return containerID;
  if (name === "ifname") return ifname;
  if (name === "node") return node;
  const arg = /^args\.(.+)$/.exec(name)?.[1];
  if (arg === undefined) return undefined;
  return args === undefined ? arg : args.get(arg);
}

function unknownPlaceholder(field: string, placeholder: string, name: string, { args }: IdentityValues): Issue {
  const what = `${field} has the placeholder ${shown(placeholder)}`;
  if (!name.startsWith("args.")) {
    return { what, remedy: "use {containerID}, {ifname}, {node}, or {args.NAME} for a NAME in CNI_ARGS" };
  }
  const names = [...(args?.keys() ?? [])].join(", ");
  return {
    what: `${what}, and CNI_ARGS does not have it`,
    remedy: `use what the runtime passes (${names || "nothing"})`,
  };
}
