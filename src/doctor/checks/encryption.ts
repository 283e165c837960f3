import { type Finding, findingsOf, type Mending } from "../finding.ts";
import type { PathFacts } from "../gather/paths.ts";
import { answeredBytes, isCarried, trafficOf } from "../verdict.ts";

const { ok, none, bad } = findingsOf("encryption");

/** Whether the tunnels' own counters grew by what was answered: nothing is lost, and all of it may be in plain. Pure. */
export function checkEncryption(paths: readonly PathFacts[], mendOf: (path: PathFacts) => Mending): Finding[] {
  const answered = paths.filter((path) => trafficOf(path).answered.length > 0);
  if (answered.length === 0) return [none("nothing was answered, so nothing can be compared")];
  return answered.map((path) => {
    const { peer, device } = path;
    const { sent, received } = trafficOf(path);
    const bytes = answeredBytes(path);
    const counted = `${device.name} counted ${sent} bytes out and ${received} in`;
    if (isCarried(path)) return ok(`${peer.name}: of ${bytes} bytes that were answered ${counted}`);
    return bad(`${peer.name}: ${bytes} bytes were answered, and ${counted}: they went in plain`, mendOf(path));
  });
}
