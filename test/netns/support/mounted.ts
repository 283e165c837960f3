import type { Node } from "../../../src/testbed/node.ts";

/** Puts something else in the place of a node's file or directory, until it is disposed. */
export async function mountedOver(node: Node, path: string, ...options: readonly string[]): Promise<AsyncDisposable> {
  await node.exec(["mount", ...options, path]);
  return {
    async [Symbol.asyncDispose]() {
      await node.exec(["umount", path]);
    },
  };
}

/** Nothing there: an empty, read-only directory in the place of a directory. */
export function emptied(node: Node, directory: string): Promise<AsyncDisposable> {
  return mountedOver(node, directory, "-t", "tmpfs", "-o", "ro,size=4k", "nothing");
}

/** A program that cannot be executed. */
export function withoutProgram(node: Node, path: string): Promise<AsyncDisposable> {
  return mountedOver(node, path, "--bind", "/dev/null");
}
