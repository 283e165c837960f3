import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { run } from "../src/os/process.ts";
import { type Machine, type Measurements, report } from "./report.ts";

const BEGIN = "<!-- Written by hand from here on; the bench keeps it. -->";

/** Writes the report to `file`, and keeps what stands below the mark in the one that is there. */
export async function writeDocument(file: string, measurements: Measurements): Promise<void> {
  writeFileSync(file, report(await describeMachine(), measurements, notesOf(readIfThere(file))));
}

/** What was written by hand, with its mark. Pure. */
export function notesOf(document: string): string {
  const at = document.indexOf(BEGIN);
  return at < 0 ? BEGIN : document.slice(at);
}

const SECTION = ["<!-- Written by `npm run bench -- mesh`. -->", "<!-- End of that. -->"] as const;

/** The document with another section about the mesh, which the other bench keeps: it stands among the notes. Pure. */
export function withMesh(document: string, section: string): string {
  const [begin, end] = SECTION;
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  const kept =
    from < 0 || to < from
      ? [`${document.trimEnd()}\n\n`, "\n"]
      : [document.slice(0, from), document.slice(to + end.length)];
  return `${kept[0]}${begin}\n\n${section.trim()}\n\n${end}${kept[1]}`;
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** What figures hold for. */
export async function describeMachine(): Promise<Machine> {
  const [cpu] = cpus();
  return [
    ["date", new Date().toISOString().slice(0, 10)],
    ["CPU", `${cpus().length} × ${cpu?.model ?? "unknown"}`],
    ["memory", `${(totalmem() / 2 ** 30).toFixed(0)} GiB`],
    ["kernel", `Linux ${release()}`],
    ["Node", process.version],
    ["strongSwan", await packageVersion("charon-systemd")],
    ["WireGuard", await packageVersion("wireguard-go")],
    ["CNI plugins", await packageVersion("containernetworking-plugins")],
  ];
}

/** charon has no option for it, and the plugins of Debian call themselves "unknown". */
async function packageVersion(name: string): Promise<string> {
  const env = { PATH: "/usr/bin:/bin" };
  const { stdout } = await run("dpkg-query", ["--show", name], { timeout: 10_000, env });
  return stdout.toString().trim().replace("\t", " ");
}
