import { readText, removeTree, writeAtomic } from "../../os/file.ts";
import { NODE_CHARON_DIRECTORY } from "./directory.ts";
import type { Orphan } from "./recovery.ts";

const FILE = `${NODE_CHARON_DIRECTORY}/recovery.json`;

/**
 * Notes that the charon and the records have to be brought together, before it is begun: a call that is killed leaves it
 * to the next one. @param orphans What may be removed when it is done. @throws Fault 5.
 */
export function noteRecovery(orphans: readonly Orphan[]): void {
  writeAtomic(FILE, JSON.stringify({ version: 1, orphans }));
}

/** The security associations of dead charons; undefined when there is nothing to be done. @throws Fault 5. */
export function notedRecovery(): readonly Orphan[] | undefined {
  const text = readText(FILE);
  if (text === undefined) return undefined;
  try {
    const note: unknown = JSON.parse(text);
    if (isNote(note)) return note.orphans;
  } catch {
    // from a full disk: there is something to be done, and what it was is seen anew
  }
  return [];
}

/** @throws Fault 5. */
export function forgetRecovery(): void {
  removeTree(FILE);
}

/** Our own file in a directory that only root can write. */
function isNote(note: unknown): note is { readonly orphans: readonly Orphan[] } {
  return typeof note === "object" && note !== null && "orphans" in note && Array.isArray(note.orphans);
}
