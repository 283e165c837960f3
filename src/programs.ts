declare const PODVPN_VERSION: string;

/** Baked in from package.json by scripts/build.mjs. */
export const version = typeof PODVPN_VERSION === "undefined" ? "development" : PODVPN_VERSION;

/** What the plugin tells whoever starts it by hand. */
export const aboutStrongswan = `podvpn ${version}: the CNI plugin strongswan`;

/**
 * The names under which the one executable is installed; the name it is called by picks the program.
 * The first is the operator's command, the others are CNI plugins (a network's `type`).
 */
export const programs = ["podvpn", "strongswan"] as const;

export type Program = (typeof programs)[number];

/** By the last part of argv[0]: runtimes call plugins by their full path. */
export function programOf(argv0: string): Program | undefined {
  const name = argv0.slice(argv0.lastIndexOf("/") + 1);
  return programs.find((program) => program === name);
}
