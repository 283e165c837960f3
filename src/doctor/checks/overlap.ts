import { contains, overlaps } from "../../net/prefix.ts";
import type { Observed } from "../../node/observe.ts";
import { type Finding, findingsOf } from "../finding.ts";
import type { MeshDevice } from "../gather/devices.ts";

const { ok, none, warning, bad } = findingsOf("overlap");

/** Whether anything else on this node has addresses of the mesh. Pure. */
export function checkOverlap(devices: readonly MeshDevice[], { subnets }: Pick<Observed, "subnets">): Finding[] {
  const guarded = devices.flatMap(({ record }) => record.guarded);
  if (guarded.length === 0) return [none("this node has no mesh")];
  const own = new Set(devices.flatMap(({ name, record }) => [name, ...(record.otherDevices ?? [])]));
  const findings = [
    ...devices.flatMap((device) => ofLinks(device, subnets, own)),
    ...devices.flatMap(endpointsInside),
    ...ofDevices(devices),
  ];
  return findings.length > 0 ? findings : [ok(`nothing else on this node has addresses of ${shortened(guarded)}`)];
}

function ofLinks({ record }: MeshDevice, subnets: Observed["subnets"], own: ReadonlySet<string>): Finding[] {
  return subnets
    .filter(({ dev, prefix }) => !own.has(dev) && !record.podSubnets.some((pods) => contains(pods, prefix)))
    .flatMap(({ dev, address, prefix }) => {
      const mesh = record.guarded.find((guarded) => overlaps(guarded, prefix));
      if (mesh === undefined) return [];
      const written = `${address}${prefix.slice(prefix.indexOf("/"))}`;
      if (!contains(mesh, prefix)) {
        const what = `${dev} has ${written}, of which the mesh has ${mesh}: hosts there with these addresses are not reached`;
        return [warning(what, { remedy: "give the pods another network, if there are such hosts" })];
      }
      const command = `ip address del ${written} dev ${dev}`;
      return [bad(`${dev} has ${written}, which is in ${mesh} of the mesh: pods there are not reached`, { command })];
    });
}

/** Encrypted packets would have to go through the tunnel that they are. */
function endpointsInside({ peers, record }: MeshDevice): Finding[] {
  return peers.flatMap(({ name, endpoint }) => {
    const mesh = record.guarded.find((guarded) => endpoint !== undefined && contains(guarded, endpoint.address));
    if (mesh === undefined || endpoint === undefined) return [];
    return [
      bad(
        `${name} is reached at ${endpoint.address}, which is in ${mesh} of the mesh: the tunnel would go through itself`,
        {
          remedy: `give ${name} an endpoint outside of the mesh, or pods other addresses`,
        },
      ),
    ];
  });
}

function ofDevices(devices: readonly MeshDevice[]): Finding[] {
  return devices.flatMap((one, index) =>
    devices.slice(index + 1).flatMap((other) => {
      const both = one.record.guarded.find((prefix) => other.record.guarded.some((second) => overlaps(prefix, second)));
      if (both === undefined || one.record.network === other.record.network) return [];
      return [
        bad(`${one.name} and ${other.name} both have ${both}: only one of them carries it`, {
          remedy: `take it out of the configuration ${one.record.network} or ${other.record.network}`,
        }),
      ];
    }),
  );
}

function shortened(prefixes: readonly string[]): string {
  return prefixes.length <= 4
    ? prefixes.join(", ")
    : `${prefixes.slice(0, 3).join(", ")} and ${prefixes.length - 3} more`;
}
