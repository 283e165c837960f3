import type { LinkState, Measured, MeshGraph } from "./graph.ts";

/** In the order in which they are told. */
export const STATES: readonly LinkState[] = ["up", "degraded", "down", "unknown"];

/** `0.42 ms`, `4.2 ms`, `42 ms`. */
export function latencyText(milliseconds: number): string {
  if (milliseconds >= 10) return `${Math.round(milliseconds)} ms`;
  return `${milliseconds.toFixed(milliseconds < 1 ? 2 : 1)} ms`;
}

/** `3 % loss`; nothing for none. What is less than one per cent is still some. @param loss 0 to 1. */
export function lossText(loss: number): string {
  if (loss === 0) return "";
  return loss < 0.01 ? "<1 % loss" : `${Math.round(loss * 100)} % loss`;
}

/** What stands beside a link: latency and loss, or the state of one that has neither. Empty for what nothing is known of. */
export function measuredText({ state, latencyMs, loss = 0 }: Measured): string {
  if (state === "down" || state === "unknown") return state === "down" ? "down" : "";
  const texts = [latencyMs === undefined ? "" : latencyText(latencyMs), lossText(loss)].filter((text) => text !== "");
  return texts.length === 0 ? state : texts.join(", ");
}

/** `4 nodes in 2 sites, 5 links: 4 wireguard, 1 ipsec`. */
export function graphSummary({ nodes, links }: MeshGraph): string {
  const sites = new Set(nodes.map(({ site }) => site)).size;
  const drivers = (["wireguard", "ipsec"] as const)
    .map((driver) => ({ driver, count: links.filter((link) => link.driver === driver).length }))
    .filter(({ count }) => count > 0)
    .map(({ driver, count }) => `${count} ${driver}`);
  const where = sites > 1 ? ` in ${counted(sites, "site")}` : "";
  const how = drivers.length === 0 ? "" : `: ${drivers.join(", ")}`;
  return `${counted(nodes.length, "node")}${where}, ${counted(links.length, "link")}${how}`;
}

/** `1 node`, `2 nodes`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
