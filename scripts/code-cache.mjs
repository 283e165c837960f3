// node --predictable --random-seed=1 scripts/code-cache.mjs DIRECTORY PART
// Writes PART.cache, V8's code cache for PART.cjs, as src/os/part.ts loads it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";

const [directory, name] = process.argv.slice(2);

// V8 compiles a function when it is first called, and a cache holds what was compiled when it was made: without this,
// next to nothing. The flag is taken back before the cache is made, since V8 accepts one only under the same flags.
setFlagsFromString("--no-lazy");
const script = new Script(readFileSync(join(directory, `${name}.cjs`), "latin1"), { filename: `${name}.cjs` });
setFlagsFromString("--lazy");
writeFileSync(join(directory, `${name}.cache`), script.createCachedData());
