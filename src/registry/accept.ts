import { NODE_NAME, NODE_NAME_EXPECTED } from "../config/agent-values.ts";
import { compareNames, withoutContradictions } from "./conflicts.ts";
import type { NodeRecord } from "./node-record.ts";
import type { Peace } from "./peace.ts";
import { lineOfField, type RecordIssue } from "./record-text.ts";
import type { Refusal, RegistryState } from "./registry.ts";

/** What a file of the registry holds. */
export interface NodeFile {
  /** Its name, which ends in `.yaml` or `.yml`. */
  readonly name: string;
  readonly content: Content;
}

/** A record with the text that it stands in, or what is wrong. */
export type Content =
  | { readonly record: NodeRecord; readonly text: string }
  | { readonly issues: readonly [RecordIssue, ...RecordIssue[]] };

/** Where the files are, below the directory of the registry. */
const NODES = "nodes";

/**
 * The nodes that all files together say there are. A file that is wrong by itself, or contradicts another, is refused,
 * and its node stays as it was before; a node without a file is gone. Pure.
 * @param before What was accepted last, by name. @param peace See {@link withoutContradictions}.
 */
export function accept(
  files: readonly NodeFile[],
  before: ReadonlyMap<string, NodeRecord>,
  peace?: Peace,
): Pick<RegistryState, "nodes" | "refusals"> {
  const inOrder = [...files].sort((one, other) => compareNames(one.name, other.name));
  const names = new Set(inOrder.map(({ name }) => name));
  const refusals: Refusal[] = [];
  const candidates = inOrder.flatMap((file) => {
    const node = nodeOf(file.name);
    const { content } = file;
    const issues = "issues" in content ? content.issues : fileIssues(file.name, content, names);
    const [first] = issues;
    if (first === undefined && "record" in content) {
      const { record, text } = content;
      return [{ record, where: (field: string) => whereOf(file.name, lineOfField(text, field)) }];
    }
    if (names.has(`${node}.yaml`) && file.name !== `${node}.yaml`) {
      // That one is the node's file: this one decides nothing.
      refusals.push(...issues.map((issue) => refusalOf(file.name, node, issue, false)));
      return [];
    }
    const kept = before.get(node);
    refusals.push(...issues.map((issue) => refusalOf(file.name, node, issue, kept !== undefined)));
    return kept === undefined ? [] : [{ record: kept, where: () => whereOf(file.name, undefined) }];
  });
  const together = withoutContradictions(candidates, before, peace);
  const all = [...refusals, ...together.refusals].sort((one, other) => compareNames(one.name ?? "", other.name ?? ""));
  return { nodes: together.nodes, refusals: all };
}

/** The node that a file is about, by its name. Pure. */
export function nodeOf(file: string): string {
  return file.replace(/\.ya?ml$/, "");
}

/** Whether a file of that name is one of the registry's: not a temporary one of ours, rsync's, NFS's or an editor's. Pure. */
export function isNodeFile(name: string): boolean {
  return /^[^.].*\.ya?ml$/.test(name);
}

/** What is wrong with a record only because of the file that it stands in. */
function fileIssues(
  file: string,
  { record, text }: { readonly record: NodeRecord; readonly text: string },
  names: ReadonlySet<string>,
): readonly RecordIssue[] {
  const node = nodeOf(file);
  if (record.name !== node && !NODE_NAME.test(node)) {
    return [{ what: `"${file}" is not the name of a node's file`, remedy: `name it NAME.yaml: ${NODE_NAME_EXPECTED}` }];
  }
  if (!file.endsWith(".yaml") && names.has(`${node}.yaml`)) {
    return [{ what: `node ${node} has a file ${node}.yaml as well, which counts`, remedy: "remove one of the two" }];
  }
  if (record.name === node) return NO_ISSUES;
  const what = `name is "${record.name}", and the file is ${file}`;
  const remedy = "give the file the name of its node, or the node that of its file";
  return [{ line: lineOfField(text, "name"), what, remedy }];
}

const NO_ISSUES: readonly RecordIssue[] = [];

function refusalOf(file: string, node: string, { line, what, remedy }: RecordIssue, kept: boolean): Refusal {
  return { where: whereOf(file, line), name: node, what, remedy, kept };
}

function whereOf(file: string, line: number | undefined): string {
  return line === undefined ? `${NODES}/${file}` : `${NODES}/${file}:${line}`;
}
