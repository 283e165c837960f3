import type { Check, Finding } from "../../../src/doctor/finding.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { PODVPN } from "./hub.ts";

/** What `podvpn doctor` says of a node. */
export interface Diagnosis {
  readonly code: number | null;
  readonly healthy: boolean;
  readonly findings: readonly Finding[];
  readonly bad: readonly Finding[];
}

/** Asks it as an operator does. */
export async function doctor(node: Node): Promise<Diagnosis> {
  const { code, stdout, stderr } = await node.exec([PODVPN, "doctor", "--json"], { check: false, timeout: 60_000 });
  if (stderr !== "" || (code !== 0 && code !== 1)) throw new Error(`exit status ${code}: ${stderr}${stdout}`);
  const told: Pick<Diagnosis, "healthy" | "findings"> = JSON.parse(stdout); // what the tests say of it, they expect of it
  return { ...told, code, bad: told.findings.filter(({ outcome }) => outcome === "bad") };
}

/** The first finding of a check that is not as it should be and says so. @throws Error with all that there are. */
export function findingOf(
  { findings }: Diagnosis,
  check: Check,
  what: RegExp,
  outcome: "bad" | "warning" = "bad",
): Finding {
  const found = findings.find(
    (finding) => finding.check === check && finding.outcome === outcome && what.test(finding.what),
  );
  if (found !== undefined) return found;
  const others = findings.filter(({ outcome: one }) => one === "bad" || one === "warning");
  throw new Error(`no finding of ${check} that matches ${what}: ${JSON.stringify(others, null, 1)}`);
}

/** Runs a finding's command in a shell, as it is printed. */
export async function run(node: Node, { what, command }: Finding): Promise<void> {
  if (command === undefined) throw new Error(`no command mends this: ${what}`);
  await node.exec(["sh", "-c", command]);
}
