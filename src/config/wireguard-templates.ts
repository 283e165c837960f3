import { expandTemplate, type IdentityValues } from "./identity.ts";
import { type Issue, pathOf, shown } from "./issues.ts";
import type { LocatedAddress } from "./wireguard-consistency.ts";
import { ADDRESS_EXPECTED, deviceAddress } from "./wireguard-fields.ts";

/** What of `wireguard` has placeholders, or decides about them; undefined for what could not be read. */
export interface Templates {
  readonly attach?: "node" | "pod" | undefined;
  readonly privateKeyFile?: string | undefined;
  readonly listenPort?: number | undefined;
  readonly address?: readonly string[] | undefined;
}

/** The path of the private key, with nothing left to expand; undefined when none is given. Issues go to `issues`. */
export function keyPath(templates: Templates, values: IdentityValues, issues: Issue[]): string | undefined {
  const field = "wireguard.privateKeyFile";
  const { attach, privateKeyFile: template, listenPort = 0 } = templates;
  if (template === undefined) return undefined;
  const perPod = /\{(?:containerID|ifname|args\.[^{}]*)\}/.exec(template)?.[0];
  if (attach === "node" && perPod !== undefined) {
    const what = `${field} has the placeholder ${shown(perPod)}, and wireguard.attach is "node": its device is there for all pods`;
    issues.push({ what, remedy: "use {node} alone, or attach: pod" });
    return undefined;
  }
  if (attach === "pod" && perPod !== undefined && listenPort !== 0) {
    const what = `wireguard.listenPort is ${listenPort}, and ${field} gives each pod a device of its own: only one of them can have the port`;
    issues.push({ what, remedy: "leave wireguard.listenPort out, for any free port" });
  }
  const expanded = expandTemplate(field, template, values);
  issues.push(...expanded.issues);
  if (expanded.issues.length > 0) return undefined;
  if (isSamePlace(template, expanded.text)) return expanded.text;
  const what = `${field} becomes ${shown(expanded.text)}`;
  issues.push({ what, remedy: "use only placeholders whose values are legal in the name of a file" });
  return undefined;
}

/** Whether the values changed names alone, and neither lead to another directory nor are no name. */
function isSamePlace(template: string, expanded: string): boolean {
  const depth = template.replaceAll(/\{[^{}]*\}/g, "").split("/").length;
  const names = expanded.split("/").slice(1);
  const legal = names.every((name) => name !== "" && name !== "." && name !== ".." && !name.includes("\0"));
  return names.length === depth - 1 && (legal || expanded === template);
}

/**
 * The device's own addresses. Issues go to `issues`. An address that only CNI_ARGS tells is left out when there are
 * none (STATUS).
 */
export function deviceAddresses(templates: Templates, values: IdentityValues, issues: Issue[]): LocatedAddress[] {
  const { attach, address: texts = [] } = templates;
  return texts.flatMap((template, index) => {
    const path = texts.length === 1 ? "wireguard.address" : pathOf("wireguard.address", index);
    const expanded = attach === "pod" ? expandTemplate(path, template, values) : { text: template, issues: [] };
    issues.push(...expanded.issues);
    if (expanded.issues.length > 0 || (values.args === undefined && /\{args\./.test(template))) return [];
    const address = deviceAddress(expanded.text);
    if (address !== undefined) return [{ ...address, path }];
    const becomes = expanded.text === template ? "" : `, which becomes ${shown(expanded.text)}`;
    issues.push({ what: `${path} is ${shown(template)}${becomes}`, remedy: `give ${ADDRESS_EXPECTED}` });
    return [];
  });
}
