import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const conditions = ["podvpn-source"];

/** For scripts/conformance.mjs: one plugin, which the ring knows nothing of. */
// biome-ignore lint/style/noDefaultExport: vitest asks for it.
export default defineConfig({
  root: fileURLToPath(new URL("../../..", import.meta.url)),
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    name: "conformance",
    include: ["test/conformance/given/plugin.ts"],
    pool: "forks",
    execArgv: conditions.map((condition) => `--conditions=${condition}`),
    testTimeout: 600_000,
    hookTimeout: 600_000,
    teardownTimeout: 30_000,
  },
});
