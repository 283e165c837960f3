import type { Netns } from "../os/namespace.ts";
import { changeForward } from "./iptables.ts";
import { type ForwardingRequest, forwardingObstacles, type Obstacle } from "./obstacles.ts";

/**
 * Lets packets pass between the device and the pods' subnets where iptables (legacy or nft) would drop them: by rules at
 * the head of FORWARD, one for each subnet and direction. Idempotent; the caller sees to it that it is not called twice
 * at once. What belongs to others stays as it is.
 * @returns What is still in the way, each with the command that mends it. @throws NetlinkError, Fault 5 or 101.
 */
export async function openForwarding(request: ForwardingRequest): Promise<Obstacle[]> {
  const left: Obstacle[] = [];
  for (const obstacle of await forwardingObstacles(request)) {
    if (obstacle.opening === undefined) {
      left.push(obstacle);
      continue;
    }
    const failure = await insert(obstacle.opening, request.netns);
    if (failure !== undefined) left.push({ ...obstacle, what: `${obstacle.what}, and takes no other: ${failure}` });
  }
  return left;
}

async function insert({ program, rules }: Opening, netns: Netns | undefined): Promise<string | undefined> {
  for (const rule of rules) {
    const failure = await changeForward(program, "-I", rule, netns);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

type Opening = NonNullable<Obstacle["opening"]>;
