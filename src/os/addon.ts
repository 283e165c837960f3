import { Code, Fault } from "../fault.ts";
import { openStored } from "./addon-store.ts";

/** The native addons that podvpn carries: Node-API, so that one binary serves every Node version. */
export type AddonName = "netlink" | "koffi";

// Baked in by scripts/build.mjs: the hash is computed once there, not by `node:crypto` (4 ms) at every start.
declare const PODVPN_NETLINK_HASH: string;
declare const PODVPN_KOFFI_HASH: string;

const loaded = new Map<AddonName, { readonly exports: unknown; readonly origin: string }>();

/**
 * The exports of a native addon, loaded at the first call.
 * In the single-file executable the addon is unpacked once, see {@link openStored}; beside `bundle.cjs` and in
 * development the file that npm installed is used where it lies.
 * @throws Fault 101 when no directory is fit to load native code from.
 */
export function loadAddon(name: AddonName): unknown {
  return addon(name).exports;
}

/** The file from which {@link loadAddon} took the addon. @throws Fault 101, as it does. */
export function addonOrigin(name: AddonName): string {
  return addon(name).origin;
}

function addon(name: AddonName): { readonly exports: unknown; readonly origin: string } {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const fresh = load(name);
  loaded.set(name, fresh);
  return fresh;
}

function load(name: AddonName): { readonly exports: unknown; readonly origin: string } {
  if (typeof PODVPN_NETLINK_HASH === "undefined") return loadFile(developmentPath(name));
  const sea = process.getBuiltinModule("node:sea");
  if (!sea.isSea()) return loadFile(beside(process.argv[1] ?? "", `${name}.node`));
  const hash = name === "netlink" ? PODVPN_NETLINK_HASH : PODVPN_KOFFI_HASH;
  const asset = new Uint8Array(sea.getRawAsset(name)); // a view of the executable's own memory: read only
  return loadStored(`${name}-${hash}.node`, asset);
}

/**
 * Tries directories until dlopen succeeds: a file system mounted noexec shows only there.
 * /var/lib survives a reboot; the executable's own directory is as trustworthy as the executable;
 * /run is noexec on Debian and comes last, for a root file system that is read-only.
 */
function loadStored(file: string, asset: Uint8Array): { readonly exports: unknown; readonly origin: string } {
  const reasons: string[] = [];
  for (const directory of addonDirectories()) {
    try {
      const fd = openStored(directory, file, asset);
      // By descriptor: what was verified is what is loaded. It stays open because glibc knows libraries by their
      // path, and a reused number would give the first library again for the second.
      return { exports: dlopen(`/proc/self/fd/${fd}`), origin: `${directory}/${file}` };
    } catch (error) {
      reasons.push(`${directory}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Fault(
    Code.missingPart,
    `no directory to load native code from (${reasons.join("; ")})`,
    "make /var/lib/podvpn a directory that root owns and only root can write, on a file system without noexec",
  );
}

/** Where an executable unpacks its addons, best first. `podvpn uninstall` removes them. */
export function addonDirectories(executable = process.execPath): string[] {
  return ["/var/lib/podvpn/addons", beside(executable, ".podvpn-addons"), "/run/podvpn/addons"];
}

function loadFile(path: string): { readonly exports: unknown; readonly origin: string } {
  return { exports: dlopen(path), origin: path };
}

function dlopen(path: string): unknown {
  const module = { exports: {} };
  process.dlopen(module, path);
  return module.exports;
}

function developmentPath(name: AddonName): string {
  const require = process.getBuiltinModule("node:module").createRequire(import.meta.url);
  if (name === "netlink") return beside(require.resolve("netlink/package.json"), "prebuilds/linux-x64/node.napi.node");
  return beside(require.resolve("@koromix/koffi-linux-x64/package.json"), "linux_x64/koffi.node");
}

function beside(path: string, name: string): string {
  return `${path.slice(0, path.lastIndexOf("/"))}/${name}`;
}
