import { trace } from "./trace.ts";

/**
 * Loads a part of the program that the executable carries as an asset: its source, already wrapped in a function, and
 * V8's code cache for it (scripts/build.mjs). So a start compiles only the part that it needs; VERSION needs none.
 * @returns The part's exports.
 */
export function loadPart(name: string): unknown {
  const { getRawAsset } = process.getBuiltinModule("node:sea");
  const { Script } = process.getBuiltinModule("node:vm");
  const script = new Script(Buffer.from(getRawAsset(`${name}.cjs`)).toString("latin1"), {
    filename: `${name}.cjs`,
    cachedData: Buffer.from(getRawAsset(`${name}.cache`)),
  });
  trace(`code cache of ${name} ${script.cachedDataRejected ? "refused" : "accepted"}`);
  const module = { exports: {} };
  const wrapper: (exports: object, require: typeof process.getBuiltinModule, module: object) => void =
    script.runInThisContext();
  wrapper(module.exports, process.getBuiltinModule, module);
  return module.exports;
}
