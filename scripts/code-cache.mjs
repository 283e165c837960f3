// node --predictable --random-seed=1 scripts/code-cache.mjs DIRECTORY PART
// Writes PART.cache, V8's code cache for PART.cjs, as src/os/part.ts loads it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";

const [directory, name] = process.argv.slice(2);

/**
 * V8 compiles a function when it is first called, and a cache holds what was compiled when it was made. So the plugin
 * is run once before: an ADD whose configuration is refused goes through most of what every ADD does before its
 * first effect, and has none.
 */
const rehearsals = {
  strongswan: ({ start }) =>
    start({
      env: {
        CNI_COMMAND: "ADD",
        CNI_CONTAINERID: "rehearsal",
        CNI_NETNS: "/nonexistent",
        CNI_IFNAME: "eth0",
        CNI_PATH: "/nonexistent",
      },
      readStdin: () =>
        JSON.stringify({
          cniVersion: "1.0.0",
          name: "rehearsal",
          type: "strongswan",
          vpn: { serverIP: "refused", virtualSubnet: "10.173.0.0/16", hostSubnet: "10.9.0.0/24", PSK: "rehearsal" },
          bridge: "cni0",
          ipam: { type: "host-local", subnet: "172.17.1.0/24" },
        }),
      writeStdout: (text) => {
        if (JSON.parse(text).code !== 7) throw new Error(`the rehearsal ended in an unexpected way: ${text}`);
      },
      writeStderr: () => {},
      exit: () => {},
    }),
  cli: () => {},
};

const script = new Script(readFileSync(join(directory, `${name}.cjs`), "latin1"), { filename: `${name}.cjs` });
const module = { exports: {} };
script.runInThisContext()(module.exports, process.getBuiltinModule, module);
await rehearsals[name](module.exports);
writeFileSync(join(directory, `${name}.cache`), script.createCachedData());
