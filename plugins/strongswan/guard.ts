import type { StrongswanAttachment } from "../../src/attachment/record.ts";
import { type Guard, planGuard } from "../../src/guard/plan.ts";

/** The guard of a pod, from what its record says. Pure. */
export function podGuard(
  record: Pick<StrongswanAttachment, "ifname" | "virtualSubnets" | "excluded" | "dataPlane">,
): Guard {
  return planGuard({
    name: record.ifname,
    virtualSubnets: record.virtualSubnets,
    excluded: record.excluded,
    dataPlane: record.dataPlane,
    refuse: "blackhole",
  });
}
