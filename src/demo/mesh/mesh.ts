import { NotInTime } from "../../testbed/eventually.ts";
import { SHARED_DIRECTORY } from "../../testbed/shared.ts";
import type { Testbed } from "../../testbed/testbed.ts";
import type { TellOptions, Told } from "../show.ts";
import { type Say, tellHeading, tellWire } from "../story.ts";
import { UNDERLAY } from "../topology.ts";
import type { MeshKind } from "./kind.ts";
import { agentLines } from "./member.ts";
import { Steps } from "./steps.ts";
import { MeshStory } from "./story.ts";
import { PingStreams } from "./streams.ts";

/**
 * Four nodes find each other, a fifth joins while pings run, one changes its keys, one is cut off and is reported.
 * What does not come in time ends the story, as wrong.
 * @throws Fault when a part of this machine is missing.
 */
export async function tellMesh(say: Say, kind: MeshKind, testbed: Testbed, options: TellOptions): Promise<Told> {
  tellTitle(say, kind);
  const steps = new Steps(say);
  await using capture = await testbed.capture();
  await using streams = new PingStreams();
  const story = await MeshStory.begin(say, steps, streams, kind, testbed, options.executable);
  try {
    await story.startAgents();
    await story.addPods();
    await story.join();
    await story.show();
    await story.rotate();
    await story.cutOff();
    await story.plugIn();
    await streams[Symbol.asyncDispose]();
    if (!options.keep) await story.leave();
    const wrong = await tellWire(say, kind.wire, capture);
    await capture.stop();
    return { wrong: [...steps.wrong, ...wrong], sights: story.sights() };
  } catch (error) {
    if (!(error instanceof NotInTime)) throw error;
    return { wrong: steps.wrong, sights: [] };
  }
}

function tellTitle(say: Say, { driver, name }: MeshKind): void {
  tellHeading(say, `mesh, ${name}: nodes find each other, and their pods talk encrypted`);
  say(`Machines out of network namespaces of this one, with a directory that all of
them see (${SHARED_DIRECTORY}), as by NFS. Their agents are told the same, and of no peer:`);
  say(
    agentLines(driver)
      .map((line) => `    ${line}`)
      .join("\n"),
  );
  say(`Every packet between them, on ${UNDERLAY}, is captured.`);
}
