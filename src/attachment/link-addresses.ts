import type { Result } from "../cni/result.ts";
import type { Attachment } from "./record.ts";

/**
 * What `prevResult` lacks of the addresses that the bridge gave, in words: CHECK goes by it (SPEC 1.1.0, section 2).
 * In a chain they are another plugin's, whose CHECK it is. Pure.
 */
export function missingLinkAddresses(
  { delegate, linkResult }: Pick<Attachment, "delegate" | "linkResult">,
  prevResult: Result,
): string[] {
  if (delegate === undefined || linkResult === undefined) return [];
  const present = prevResult.ips.map(({ address }) => address);
  return linkResult.ips
    .filter(({ address }) => !present.includes(address))
    .map(({ address }) => `${address} in prevResult`);
}
