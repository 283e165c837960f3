declare const PODVPN_VERSION: string;

/** Baked in from package.json by scripts/build.mjs. */
export const version = typeof PODVPN_VERSION === "undefined" ? "development" : PODVPN_VERSION;

/**
 * The names under which the one executable is installed; the name it is called by picks the program.
 * The first is the operator's command, the others are CNI plugins (a network's `type`).
 */
export const programs = ["podvpn", "strongswan", "wireguard"] as const;

export type Program = (typeof programs)[number];

/** Those that are CNI plugins. */
export type PluginName = Exclude<Program, "podvpn">;

/** What a plugin tells whoever starts it by hand. */
export function about(plugin: PluginName): string {
  return `podvpn ${version}: the CNI plugin ${plugin}`;
}

/** By the last part of argv[0]: runtimes call plugins by their full path. */
export function programOf(argv0: string): Program | undefined {
  const name = argv0.slice(argv0.lastIndexOf("/") + 1);
  return programs.find((program) => program === name);
}
