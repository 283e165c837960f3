import type { LinkState } from "./graph.ts";

/** Told apart also by who cannot tell red from green (Okabe and Ito, "Color Universal Design"). */
export const STATE_COLOURS: Readonly<Record<LinkState, string>> = {
  up: "#009e73",
  degraded: "#e69f00",
  down: "#d55e00",
  unknown: "#8a8a8a",
};
