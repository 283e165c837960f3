import { type Address, type Family, family } from "../net/address.ts";
import type { Book } from "./book.ts";

/**
 * How many addresses of each family charon may give to pods that are not known yet, before the hub has to look: while
 * `podvpn hub` is killed and charon goes on, so many new pods can come.
 */
export const WINDOW = 1024;

/**
 * The addresses that are for unknown pods, in the order in which charon gives them out. Pure.
 * @param earlier What charon has of them.
 */
export function windowOf(book: Book, earlier: readonly Address[]): Address[] {
  return book.families.flatMap((version) => {
    const kept = earlier.filter((address) => family(address) === version && book.ownerOf(address) === undefined);
    return kept.length > WINDOW / 2 ? kept : [...kept, ...more(book, version, kept)];
  });
}

function more(book: Book, version: Family, kept: readonly Address[]): Address[] {
  const found: Address[] = [];
  for (const address of book.freeAddresses(version, new Set(kept))) {
    if (kept.length + found.length === WINDOW) break;
    found.push(address);
  }
  return found;
}
