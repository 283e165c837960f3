// The executable of a machine that stays: it has that of its boot, and is brought each other that is built.
import { copyFileSync, linkSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../run.mjs";

const DIST = join(root, "dist");

/** What changes when dist/ is built anew. */
const signature = () => String(statSync(join(DIST, ".stamp.json"), { throwIfNoEntry: false })?.mtimeMs);

/** Where the share says which one the machine has. */
const NOTE = "dist.signature";

/** Notes that the machine has what is in dist/ now. */
export function noteDist(share) {
  writeFileSync(join(share, NOTE), signature());
}

/**
 * Puts dist/ into the directory of a job when the machine has another one.
 * @param {string} share The machine's. @param {string} job The job's directory in it. @param {string} seenAs The same, in
 *   the guest.
 * @returns {string} What the job has to do first.
 */
export function renewDist(share, job, seenAs) {
  const current = signature();
  if (readFileSync(join(share, NOTE), "utf8") === current) return "";
  mkdirSync(join(job, "dist"));
  const inodes = new Map();
  for (const { name } of readdirSync(DIST, { withFileTypes: true }).filter((entry) => entry.isFile())) {
    const [from, to] = [join(DIST, name), join(job, "dist", name)];
    const { ino } = statSync(from);
    if (inodes.has(ino)) linkSync(inodes.get(ino), to);
    else copyFileSync(from, to);
    inodes.set(ino, to);
  }
  return `cp -a --remove-destination ${seenAs}/dist/. dist/ && rm -r ${seenAs}/dist && printf %s ${current} >/lab/${NOTE}\n`;
}
